"""VoxCPM, batched: the engine, the device, the loading of checkpoints, and the model.

Nothing is imported here, so that the torch-free parts can be used without torch.
"""
