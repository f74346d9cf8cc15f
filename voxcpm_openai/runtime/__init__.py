"""VoxCPM, batched: the forward pass, the state of its streams, and what loads a checkpoint.

Nothing is imported here, so that the package can be looked at without torch.
"""
