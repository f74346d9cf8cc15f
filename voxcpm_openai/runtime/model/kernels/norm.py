"""RMSNorm, fused with the residual sum before it."""

import triton
import triton.language as tl


@triton.jit
def add_norm(
    x,
    delta,
    weight,
    total,
    normed,
    num_tokens,
    stride_row,
    stride_token,
    epsilon,
    hidden_size: tl.constexpr,
    block: tl.constexpr,
    adds: tl.constexpr,
):
    """One program per token: ``total = x + delta`` if it ``adds``, and ``normed``, its norm.

    ``x [B, num_tokens, hidden_size]`` has the strides ``stride_row, stride_token, 1``; the other
    tensors are contiguous.
    """
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, block)
    inside = columns < hidden_size
    offsets = row * hidden_size + columns
    source = (row // num_tokens) * stride_row + (row % num_tokens) * stride_token
    value = tl.load(x + source + columns, mask=inside, other=0.0)
    if adds:
        added = tl.load(delta + offsets, mask=inside, other=0.0)
        # Rounded before the norm: the next layer adds to the rounded sum.
        value = (value.to(tl.float32) + added.to(tl.float32)).to(total.dtype.element_ty)
        tl.store(total + offsets, value, mask=inside)
    wide = value.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, axis=0) / hidden_size + epsilon)
    result = wide * scale * tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed + offsets, result.to(normed.dtype.element_ty), mask=inside)
