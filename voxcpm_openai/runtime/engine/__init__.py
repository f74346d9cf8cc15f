"""The batched engine: its loop, its scheduler, its streams.  No torch."""
