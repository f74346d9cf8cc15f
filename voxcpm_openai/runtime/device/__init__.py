"""A model on a device: slots, steps, CUDA graphs, copies to and from the device."""
