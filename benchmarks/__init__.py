"""Benchmarks, each a script; docs/benchmarks.md and docs/gpu.md say what they measure."""
