"""The cache of speech: equal requests get the same bytes, and are made once."""
