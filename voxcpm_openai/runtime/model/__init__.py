"""The model: weights and arithmetic.  State is passed in; nothing here knows jobs or threads."""
