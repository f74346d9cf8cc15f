"""The tests; ``conftest.py`` holds what they share."""
