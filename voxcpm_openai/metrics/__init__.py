"""Prometheus metrics, aggregated over all workers of the server."""
