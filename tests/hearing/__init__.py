"""Ears for the tests: which words were said, and by whom."""
