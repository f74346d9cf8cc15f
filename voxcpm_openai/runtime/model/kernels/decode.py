"""Attention of one token per row over the keys and values of its slot.

    store_kv           rotate queries and keys, store keys and values
    decode_attention   attend to the slot up to the row's own position
    combine_splits     combine the splits of ``decode_attention``, where there are several

Slots are large: their offsets are 64-bit.
"""

import triton
import triton.language as tl


@triton.jit
def store_kv(
    qkv,
    cos,
    sin,
    slots,
    positions,
    q,
    k,
    v,
    stride_slot,
    stride_head,
    stride_position,
    num_heads: tl.constexpr,
    num_kv_heads: tl.constexpr,
    head_dim: tl.constexpr,
    rotates: tl.constexpr,
):
    """One program per head of a row.

    ``qkv [B, (num_heads + 2 num_kv_heads) head_dim]``; ``cos, sin [N, head_dim]``;
    ``q [B, num_heads, head_dim]``; ``k, v`` have the same strides, the last of which is 1.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d = tl.arange(0, head_dim)
    position = tl.load(positions + row)
    source = qkv + (row * (num_heads + 2 * num_kv_heads) + head) * head_dim
    value = tl.load(source + d)
    if rotates and head < num_heads + num_kv_heads:
        table = position * head_dim + d
        swapped = tl.load(source + (d + head_dim // 2) % head_dim).to(tl.float32)
        unswapped = value.to(tl.float32) * tl.load(cos + table)
        value = (unswapped + swapped * tl.load(sin + table)).to(value.dtype)
    if head < num_heads:
        tl.store(q + (row * num_heads + head) * head_dim + d, value)
    else:
        kv_head = (head - num_heads) % num_kv_heads
        slot = tl.load(slots + row)
        target = slot * stride_slot + kv_head * stride_head + position * stride_position + d
        if head < num_heads + num_kv_heads:
            tl.store(k + target, value)
        else:
            tl.store(v + target, value)


@triton.jit
def decode_attention(
    q,
    k,
    v,
    slots,
    positions,
    y,
    maxima,
    sums,
    stride_slot,
    stride_head,
    stride_position,
    scale,
    num_kv_heads: tl.constexpr,
    group: tl.constexpr,
    head_dim: tl.constexpr,
    num_splits: tl.constexpr,
    block_group: tl.constexpr,
    block_keys: tl.constexpr,
):
    """One program per row, KV head and split of the row's keys.

    The ``group`` queries of a KV head are the rows of a product.  ``scale``: of the scores, for
    powers of two.  With one split ``y [B, H, head_dim]`` is the result.  With more it is the
    unnormalized sum in float32, ``[B, H, num_splits, head_dim]``, beside ``maxima, sums
    [B, H, num_splits]``.
    """
    row, head, split = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    position = tl.load(positions + row).to(tl.int32)
    g, d, n = tl.arange(0, block_group), tl.arange(0, head_dim), tl.arange(0, block_keys)
    query = (row * num_kv_heads + head) * group + g  # among all B H queries
    exists = g < group
    queries = tl.load(q + query[:, None] * head_dim + d[None, :], mask=exists[:, None], other=0.0)
    base = tl.load(slots + row) * stride_slot + head * stride_head
    maximum = tl.full([block_group], float("-inf"), tl.float32)
    total = tl.zeros([block_group], tl.float32)
    output = tl.zeros([block_group, head_dim], tl.float32)
    # All splits have the same number of blocks, but the last ones of a short row may be empty.  A
    # block that is read has at least one key, so that no maximum stays infinite.
    blocks = position // block_keys + 1
    each = (blocks + num_splits - 1) // num_splits
    for block in range(split * each, tl.minimum(split * each + each, blocks)):
        key_positions = block * block_keys + n
        visible = key_positions <= position
        offsets = base + key_positions[:, None].to(tl.int64) * stride_position + d[None, :]
        keys = tl.load(k + offsets, mask=visible[:, None], other=0.0)
        scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
        scores = tl.where(visible[None, :], scores, float("-inf"))
        new_maximum = tl.maximum(maximum, tl.max(scores, axis=1))
        weights = tl.exp2(scores - new_maximum[:, None])
        rescale = tl.exp2(maximum - new_maximum)
        values = tl.load(v + offsets, mask=visible[:, None], other=0.0)
        update = tl.dot(weights.to(values.dtype), values, input_precision="ieee")
        output = output * rescale[:, None] + update
        total = total * rescale + tl.sum(weights, axis=1)
        maximum = new_maximum
    if num_splits == 1:
        target = query[:, None] * head_dim + d[None, :]
        output = output / total[:, None]
        tl.store(y + target, output.to(y.dtype.element_ty), mask=exists[:, None])
    else:
        partial = query * num_splits + split
        tl.store(y + partial[:, None] * head_dim + d[None, :], output, mask=exists[:, None])
        tl.store(maxima + partial, maximum, mask=exists)
        tl.store(sums + partial, total, mask=exists)


@triton.jit
def combine_splits(partials, maxima, sums, y, head_dim: tl.constexpr, num_splits: tl.constexpr):
    """One program per query: ``partials [B H, num_splits, head_dim]`` to ``y [B H, head_dim]``."""
    query = tl.program_id(0).to(tl.int64)
    split, d = tl.arange(0, num_splits), tl.arange(0, head_dim)
    partial = query * num_splits + split
    maximum = tl.load(maxima + partial)
    rescale = tl.exp2(maximum - tl.max(maximum, axis=0))  # the first split is never empty
    total = tl.sum(tl.load(sums + partial) * rescale, axis=0)
    output = tl.load(partials + partial[:, None] * head_dim + d[None, :])
    value = tl.sum(output * rescale[:, None], axis=0) / total
    tl.store(y + query * head_dim + d, value.to(y.dtype.element_ty))
