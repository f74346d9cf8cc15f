"""The embedded engine: synthesis on a CPU, with nothing downloaded."""
