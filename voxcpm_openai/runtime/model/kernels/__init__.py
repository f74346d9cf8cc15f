"""The small operators as Triton kernels, for a GPU.  Only this package imports Triton."""
