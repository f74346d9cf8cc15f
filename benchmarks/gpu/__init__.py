"""The parts of the benchmark on a GPU; ``run.py`` runs them."""
