"""Weights and maths: state is passed in, nothing here knows of jobs, threads or HTTP."""
