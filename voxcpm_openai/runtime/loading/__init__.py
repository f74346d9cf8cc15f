"""Loading: a checkpoint's files, tensors and tokenizer, and clips."""
