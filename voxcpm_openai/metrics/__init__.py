"""What the server measures: metrics for Prometheus, of all workers together."""
