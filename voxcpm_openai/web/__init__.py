"""The HTTP face: one blueprint a file, and the manners of every reply."""
