"""Helpers of the tests that need torch."""
