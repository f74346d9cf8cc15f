"""Activations: the SwiGLU of the transformers, the snake of the VAE."""

import triton
import triton.language as tl


@triton.jit
def swiglu(gate_up, y, size, block: tl.constexpr):
    """``y [N, size] = silu(gate) * up`` of ``gate_up [N, 2 size]``; one program per block."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * block + tl.arange(0, block)
    inside = columns < size
    start = row * 2 * size
    gate = tl.load(gate_up + start + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + start + size + columns, mask=inside, other=0.0).to(tl.float32)
    value = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(y + row * size + columns, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def snake(x, alpha, inverse, y, count, length, channels, block: tl.constexpr):
    """``y = x + sin²(a x) / a`` for ``count`` numbers of ``[B, channels, length]``, below 2^31."""
    i = tl.program_id(0) * block + tl.arange(0, block)
    inside = i < count
    channel = (i // length) % channels
    value = tl.load(x + i, mask=inside, other=0.0)
    wave = tl.sin(value * tl.load(alpha + channel, mask=inside, other=0.0))
    value += wave * wave * tl.load(inverse + channel, mask=inside, other=0.0)
    tl.store(y + i, value, mask=inside)
