"""The cache of speech: identical requests are synthesized once and get the same bytes."""
