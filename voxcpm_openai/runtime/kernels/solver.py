"""What the solver does around LocDiT: its tokens, its noise, and a step along its velocity."""

import triton
import triton.language as tl


@triton.jit
def line_up(
    condition,
    time,
    past,
    frames,
    y,
    time_row,
    told: tl.constexpr,
    lead: tl.constexpr,
    patch: tl.constexpr,
    width: tl.constexpr,
    block: tl.constexpr,
):
    """A program for each token of ``y [2 B, lead + 2 patch, width]``.

    The first B rows have their ``condition [B, told, width]``, the others none.  The time, of the
    stride ``time_row``, is added to the last of the ``lead`` tokens.
    """
    row, place = tl.program_id(0).to(tl.int64), tl.program_id(1)
    rows = tl.num_programs(0) // 2
    own = row % rows
    columns = tl.arange(0, block)
    inside = columns < width
    # A token is a sum of which all but one or two terms are nothing, and are not loaded.
    given = inside & (row < rows) & (place < told)
    value = tl.load(condition + (own * told + place) * width + columns, mask=given, other=0.0).to(
        tl.float32
    )
    at = inside & (place == lead - 1)
    value += tl.load(time + own * time_row + columns, mask=at, other=0.0).to(tl.float32)
    before = place - lead
    old = inside & (before >= 0) & (before < patch)
    value += tl.load(past + (own * patch + before) * width + columns, mask=old, other=0.0).to(
        tl.float32
    )
    frame = before - patch
    value += tl.load(
        frames + (own * patch + frame) * width + columns, mask=inside & (frame >= 0), other=0.0
    ).to(tl.float32)
    start = (row * tl.num_programs(1) + place) * width
    tl.store(y + start + columns, value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def guide(
    x,
    velocity,
    cfg,
    strides,
    cfg_row,
    stride_row,
    size: tl.constexpr,
    block: tl.constexpr,
):
    """A program for each row: CFG-Zero* and Euler's step on ``x [B, size]``, in place.

    ``velocity [2 B, size]``; ``cfg, strides [B]`` have the strides ``cfg_row, stride_row``.
    """
    row, rows = tl.program_id(0).to(tl.int64), tl.num_programs(0)
    i = tl.arange(0, block)
    inside = i < size
    own = row * size + i
    with_it = tl.load(velocity + own, mask=inside, other=0.0).to(tl.float32)
    without = tl.load(velocity + rows * size + own, mask=inside, other=0.0).to(tl.float32)
    dot = tl.sum(with_it * without, axis=0)
    norm = tl.sum(without * without, axis=0) + 1e-8
    without = without * (dot / norm)
    guided = without + tl.load(cfg + row * cfg_row) * (with_it - without)
    value = tl.load(x + own, mask=inside, other=0.0)
    value -= tl.load(strides + row * stride_row) * guided
    tl.store(x + own, value, mask=inside)


@triton.jit
def draw_words(seed, patch, n, rounds: tl.constexpr):
    """Philox4x32: four words of 32 bits for each of the blocks ``n``."""
    first = n.to(tl.uint32)
    second = first * 0 + patch.to(tl.uint32)
    return tl.philox(seed, first, second, first * 0, first * 0, rounds)


@triton.jit
def normal(seeds, patches, y, size: tl.constexpr, block: tl.constexpr, rounds: tl.constexpr):
    """A program for each row: normal numbers ``y [B, 4 size]``, four for each count."""
    row, n = tl.program_id(0).to(tl.int64), tl.arange(0, block)
    a, b, c, d = draw_words(tl.load(seeds + row), tl.load(patches + row), n, rounds)
    tiny: tl.constexpr = 2.0**-32
    whole: tl.constexpr = 6.283185307179586
    place = y + (row * size + n) * 4
    inside = n < size
    # Words stand for the middle of their places, so that nothing is 0.
    radius = tl.sqrt(tl.log((a.to(tl.float32) + 0.5) * tiny) * -2.0)
    angle = (b.to(tl.float32) + 0.5) * tiny * whole
    tl.store(place, radius * tl.cos(angle), mask=inside)
    tl.store(place + 1, radius * tl.sin(angle), mask=inside)
    radius = tl.sqrt(tl.log((c.to(tl.float32) + 0.5) * tiny) * -2.0)
    angle = (d.to(tl.float32) + 0.5) * tiny * whole
    tl.store(place + 2, radius * tl.cos(angle), mask=inside)
    tl.store(place + 3, radius * tl.sin(angle), mask=inside)
