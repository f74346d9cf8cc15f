"""RMSNorm, with the sum before it; and the gate of an MLP."""

import triton
import triton.language as tl


@triton.jit
def add_norm(
    x,
    more,
    weight,
    total,
    normed,
    tokens,
    x_batch,
    x_token,
    epsilon,
    width: tl.constexpr,
    block: tl.constexpr,
    adds: tl.constexpr,
):
    """One program a token: ``total = x + more`` where it ``adds``; ``normed`` of that.

    ``x [B, tokens, width]`` has the strides ``x_batch, x_token, 1``; all else is dense.
    """
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, block)
    inside = columns < width
    own = row * width + columns
    place = (row // tokens) * x_batch + (row % tokens) * x_token
    value = tl.load(x + place + columns, mask=inside, other=0.0)
    if adds:
        added = tl.load(more + own, mask=inside, other=0.0)
        # Rounded before it is normed: what is normed is what the next layer adds to.
        value = (value.to(tl.float32) + added.to(tl.float32)).to(total.dtype.element_ty)
        tl.store(total + own, value, mask=inside)
    wide = value.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, axis=0) / width + epsilon)
    told = wide * scale * tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed + own, told.to(normed.dtype.element_ty), mask=inside)


@triton.jit
def gated(gate_up, y, inner, block: tl.constexpr):
    """``y [N, inner] = silu(gate) * up`` of ``gate_up [N, 2 inner]``; a program: part of a row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * block + tl.arange(0, block)
    inside = columns < inner
    start = row * 2 * inner
    gate = tl.load(gate_up + start + columns, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + start + inner + columns, mask=inside, other=0.0).to(tl.float32)
    value = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(y + row * inner + columns, value.to(y.dtype.element_ty), mask=inside)
