"""The solver around LocDiT: its input tokens, its noise, and a step along its velocity."""

import triton
import triton.language as tl


@triton.jit
def build_dit_input(
    condition,
    time_embed,
    past,
    frames,
    y,
    stride_time,
    condition_tokens: tl.constexpr,
    prefix_tokens: tl.constexpr,
    patch_size: tl.constexpr,
    hidden_size: tl.constexpr,
    block: tl.constexpr,
):
    """One program per token of ``y [2 B, prefix_tokens + 2 patch_size, hidden_size]``.

    The first B rows have their ``condition [B, condition_tokens, hidden_size]``, the others none.
    The time, with the stride ``stride_time``, is added to the last prefix token.
    """
    row, token = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows = tl.num_programs(0) // 2
    source = row % rows
    columns = tl.arange(0, block)
    inside = columns < hidden_size
    # A token is a sum whose terms, but for one or two, are masked and not loaded.
    conditional = inside & (row < rows) & (token < condition_tokens)
    value = tl.load(
        condition + (source * condition_tokens + token) * hidden_size + columns,
        mask=conditional,
        other=0.0,
    ).to(tl.float32)
    timed = inside & (token == prefix_tokens - 1)
    value += tl.load(time_embed + source * stride_time + columns, mask=timed, other=0.0).to(
        tl.float32
    )
    frame = token - prefix_tokens
    previous = inside & (frame >= 0) & (frame < patch_size)
    value += tl.load(
        past + (source * patch_size + frame) * hidden_size + columns, mask=previous, other=0.0
    ).to(tl.float32)
    frame = frame - patch_size
    value += tl.load(
        frames + (source * patch_size + frame) * hidden_size + columns,
        mask=inside & (frame >= 0),
        other=0.0,
    ).to(tl.float32)
    start = (row * tl.num_programs(1) + token) * hidden_size
    tl.store(y + start + columns, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def cfg_euler_step(
    x,
    velocity,
    cfg,
    step_sizes,
    stride_cfg,
    stride_step,
    size: tl.constexpr,
    block: tl.constexpr,
):
    """One program per row: CFG-Zero* and an Euler step on ``x [B, size]``, in place.

    ``velocity [2 B, size]``; ``cfg, step_sizes [B]`` have the strides ``stride_cfg, stride_step``.
    """
    row, rows = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    i = tl.arange(0, block)
    inside = i < size
    offsets = row * size + i
    conditional = tl.load(velocity + offsets, mask=inside, other=0.0).to(tl.float32)
    unconditional = tl.load(velocity + rows * size + offsets, mask=inside, other=0.0).to(tl.float32)
    dot = tl.sum(conditional * unconditional, axis=0)
    norm = tl.sum(unconditional * unconditional, axis=0) + 1e-8
    unconditional = unconditional * (dot / norm)
    guided = unconditional + tl.load(cfg + row * stride_cfg) * (conditional - unconditional)
    value = tl.load(x + offsets, mask=inside, other=0.0)
    value -= tl.load(step_sizes + row * stride_step) * guided
    tl.store(x + offsets, value, mask=inside)


@triton.jit
def draw_words(seed, patch, n, rounds: tl.constexpr):
    """Return Philox4x32's four 32-bit words for each of the blocks ``n``."""
    first = n.to(tl.uint32)
    second = first * 0 + patch.to(tl.uint32)
    return tl.philox(seed, first, second, first * 0, first * 0, rounds)


@triton.jit
def normal(seeds, patches, y, size: tl.constexpr, block: tl.constexpr, rounds: tl.constexpr):
    """One program per row: normal numbers ``y [B, 4 size]``, four per block of the counter."""
    row, n = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    a, b, c, d = draw_words(tl.load(seeds + row), tl.load(patches + row), n, rounds)
    unit: tl.constexpr = 2.0**-32
    two_pi: tl.constexpr = 6.283185307179586
    target = y + (row * size + n) * 4
    inside = n < size
    # A word stands for the middle of its interval, so that no number is 0.
    radius = tl.sqrt(tl.log((a.to(tl.float32) + 0.5) * unit) * -2.0)
    angle = (b.to(tl.float32) + 0.5) * unit * two_pi
    tl.store(target, radius * tl.cos(angle), mask=inside)
    tl.store(target + 1, radius * tl.sin(angle), mask=inside)
    radius = tl.sqrt(tl.log((c.to(tl.float32) + 0.5) * unit) * -2.0)
    angle = (d.to(tl.float32) + 0.5) * unit * two_pi
    tl.store(target + 2, radius * tl.cos(angle), mask=inside)
    tl.store(target + 3, radius * tl.sin(angle), mask=inside)
