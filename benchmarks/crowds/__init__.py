"""The parts of ``benchmarks/crowd.py``: the engine it serves, its clients, and what it looks at."""
