"""The operators of the model as C++ for a CPU, compiled at first use."""
