"""The model's small operators as Triton kernels, for a GPU.  Nothing else imports Triton."""
