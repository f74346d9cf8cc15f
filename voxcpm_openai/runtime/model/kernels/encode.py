"""Full attention over the few tokens of LocEnc and LocDiT."""

import triton
import triton.language as tl


@triton.jit
def _rotated_halves(
    source,
    tokens,
    stride,
    exists,
    cos,
    sin,
    head_dim: tl.constexpr,
    block_half: tl.constexpr,
    rotates: tl.constexpr,
):
    """Load both halves of a head of ``tokens``, rotated to their positions: ``[T, block_half]``."""
    half: tl.constexpr = head_dim // 2
    d = tl.arange(0, block_half)
    inside = exists[:, None] & (d < half)[None, :]
    start = source + tokens[:, None] * stride + d[None, :]
    one = tl.load(start, mask=inside, other=0.0)
    two = tl.load(start + half, mask=inside, other=0.0)
    if rotates:
        table = tokens[:, None] * head_dim + d[None, :]
        # Both tables hold each number twice; the second half of the sines has no sign.
        c = tl.load(cos + table, mask=inside, other=0.0)
        s = tl.load(sin + half + table, mask=inside, other=0.0)
        first, second = one.to(tl.float32), two.to(tl.float32)
        one = (first * c - second * s).to(one.dtype)
        two = (second * c + first * s).to(two.dtype)
    return one, two


@triton.jit
def attention(
    qkv,
    cos,
    sin,
    y,
    scale,
    num_tokens: tl.constexpr,
    first_query: tl.constexpr,
    num_queries: tl.constexpr,
    num_heads: tl.constexpr,
    num_kv_heads: tl.constexpr,
    head_dim: tl.constexpr,
    block_half: tl.constexpr,
    block_tokens: tl.constexpr,
    rotates: tl.constexpr,
):
    """One program per row and head: ``y [B, num_queries, num_heads head_dim]``.

    ``qkv [B, num_tokens, (num_heads + 2 num_kv_heads) head_dim]``; ``first_query``: the first token
    whose output is wanted; ``block_half``: at least half of a head.  ``scale``: of the scores, for
    powers of two.  Each query head rotates its keys again, which is cheaper than a kernel for it.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    stride: tl.constexpr = (num_heads + 2 * num_kv_heads) * head_dim
    t, d = tl.arange(0, block_tokens), tl.arange(0, head_dim)
    source = qkv + row * num_tokens * stride
    key = source + (num_heads + head // (num_heads // num_kv_heads)) * head_dim
    query = source + head * head_dim
    k1, k2 = _rotated_halves(
        key, t, stride, t < num_tokens, cos, sin, head_dim, block_half, rotates
    )
    q1, q2 = _rotated_halves(
        query, first_query + t, stride, t < num_queries, cos, sin, head_dim, block_half, rotates
    )
    scores = tl.dot(q1, tl.trans(k1), input_precision="ieee")
    scores = tl.dot(q2, tl.trans(k2), scores, input_precision="ieee") * scale
    scores = tl.where((t < num_tokens)[None, :], scores, float("-inf"))
    weights = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
    total = tl.sum(weights, axis=1)
    value = key + num_kv_heads * head_dim + t[:, None] * stride + d[None, :]
    values = tl.load(value, mask=(t < num_tokens)[:, None], other=0.0)
    output = tl.dot(weights.to(values.dtype), values, input_precision="ieee") / total[:, None]
    target = (row * num_queries + t[:, None]) * (num_heads * head_dim)
    target += head * head_dim + d[None, :]
    tl.store(y + target, output.to(y.dtype.element_ty), mask=(t < num_queries)[:, None])
