"""A token of each row and its past, in the slot where that lies.

    remember    rotate queries and keys, keep keys and values
    attend      look at what the slot has up to the row's own position
    join        put the parts of ``attend`` together, where it was split

Slots are large: all their offsets are counted in 64 bits.
"""

import triton
import triton.language as tl


@triton.jit
def remember(
    qkv,
    cos,
    sin,
    slots,
    positions,
    q,
    k,
    v,
    k_slot,
    k_shared,
    k_place,
    own: tl.constexpr,
    shared: tl.constexpr,
    width: tl.constexpr,
    rotates: tl.constexpr,
):
    """A program for each head of each row.

    ``qkv [R, (own + 2 shared) width]``; ``cos, sin [N, width]``; ``q [R, own, width]``; ``k, v`` of
    equal strides, the last of which is 1.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d = tl.arange(0, width)
    position = tl.load(positions + row)
    source = qkv + (row * (own + 2 * shared) + head) * width
    value = tl.load(source + d)
    if rotates and head < own + shared:
        turned = position * width + d
        swapped = tl.load(source + (d + width // 2) % width).to(tl.float32)
        kept = value.to(tl.float32) * tl.load(cos + turned)
        value = (kept + swapped * tl.load(sin + turned)).to(value.dtype)
    if head < own:
        tl.store(q + (row * own + head) * width + d, value)
    else:
        index = (head - own) % shared
        place = tl.load(slots + row) * k_slot + index * k_shared + position * k_place + d
        if head < own + shared:
            tl.store(k + place, value)
        else:
            tl.store(v + place, value)


@triton.jit
def attend(
    q,
    k,
    v,
    slots,
    positions,
    y,
    peaks,
    sums,
    k_slot,
    k_shared,
    k_place,
    scale,
    shared: tl.constexpr,
    group: tl.constexpr,
    width: tl.constexpr,
    parts: tl.constexpr,
    block_group: tl.constexpr,
    block_keys: tl.constexpr,
):
    """A program for each row, head of keys, and part of the row's keys.

    The ``group`` queries of a head of keys are the rows of a product.  ``scale``: of the scores, in
    powers of two.  With one part ``y [R, h, width]`` is the result.  With more it is, in float32
    and not yet divided, ``[R, h, parts, width]``, with ``peaks, sums [R, h, parts]`` beside it.
    """
    row, head, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    position = tl.load(positions + row).to(tl.int32)
    g, d, n = tl.arange(0, block_group), tl.arange(0, width), tl.arange(0, block_keys)
    mine = (row * shared + head) * group + g  # among all R h queries
    exists = g < group
    queries = tl.load(q + mine[:, None] * width + d[None, :], mask=exists[:, None], other=0.0)
    base = tl.load(slots + row) * k_slot + head * k_shared
    peak = tl.full([block_group], float("-inf"), tl.float32)
    total = tl.zeros([block_group], tl.float32)
    seen = tl.zeros([block_group, width], tl.float32)
    # Each part has as many blocks of keys as the others, wherever the row stands; the last ones may
    # have none.  A block that is looked at has at least one key, so that no peak stays infinite.
    blocks = position // block_keys + 1
    each = (blocks + parts - 1) // parts
    for block in range(part * each, tl.minimum(part * each + each, blocks)):
        places = block * block_keys + n
        known = places <= position
        offsets = base + places[:, None].to(tl.int64) * k_place + d[None, :]
        keys = tl.load(k + offsets, mask=known[:, None], other=0.0)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(known[None, :], scores, float("-inf"))
        higher = tl.maximum(peak, tl.max(scores, axis=1))
        weights = tl.exp2(scores - higher[:, None])
        fade = tl.exp2(peak - higher)
        values = tl.load(v + offsets, mask=known[:, None], other=0.0)
        found = tl.dot(weights.to(values.dtype), values, input_precision="ieee")
        seen = seen * fade[:, None] + found
        total = total * fade + tl.sum(weights, axis=1)
        peak = higher
    if parts == 1:
        place = mine[:, None] * width + d[None, :]
        seen = seen / total[:, None]
        tl.store(y + place, seen.to(y.dtype.element_ty), mask=exists[:, None])
    else:
        own = mine * parts + part
        tl.store(y + own[:, None] * width + d[None, :], seen, mask=exists[:, None])
        tl.store(peaks + own, peak, mask=exists)
        tl.store(sums + own, total, mask=exists)


@triton.jit
def join(found, peaks, sums, y, width: tl.constexpr, parts: tl.constexpr):
    """A program for each query: the parts ``[R h, parts, width]`` become ``y [R h, width]``."""
    query = tl.program_id(0).to(tl.int64)
    part, d = tl.arange(0, parts), tl.arange(0, width)
    own = query * parts + part
    peak = tl.load(peaks + own)
    fade = tl.exp2(peak - tl.max(peak, axis=0))  # the first part is never empty
    total = tl.sum(tl.load(sums + own) * fade, axis=0)
    seen = tl.load(found + own[:, None] * width + d[None, :])
    value = tl.sum(seen * fade[:, None], axis=0) / total
    tl.store(y + query * width + d, value.to(y.dtype.element_ty))
