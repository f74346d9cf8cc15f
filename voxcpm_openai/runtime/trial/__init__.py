"""Finds out how the steps of a model run best on a GPU, and where that goes wrong."""
