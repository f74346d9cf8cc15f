"""The few tokens of LocEnc and LocDiT, which all see each other."""

import triton
import triton.language as tl


@triton.jit
def _halves(
    source,
    tokens,
    stride,
    exists,
    cos,
    sin,
    width: tl.constexpr,
    half: tl.constexpr,
    rotates: tl.constexpr,
):
    """Load both halves of a head of each of ``tokens``, rotated to its place: ``[T, half]``."""
    middle: tl.constexpr = width // 2
    d = tl.arange(0, half)
    inside = exists[:, None] & (d < middle)[None, :]
    start = source + tokens[:, None] * stride + d[None, :]
    one = tl.load(start, mask=inside, other=0.0)
    two = tl.load(start + middle, mask=inside, other=0.0)
    if rotates:
        turned = tokens[:, None] * width + d[None, :]
        # Both tables have each number twice; of the sines the second one has no sign.
        c = tl.load(cos + turned, mask=inside, other=0.0)
        s = tl.load(sin + middle + turned, mask=inside, other=0.0)
        first, second = one.to(tl.float32), two.to(tl.float32)
        one = (first * c - second * s).to(one.dtype)
        two = (second * c + first * s).to(two.dtype)
    return one, two


@triton.jit
def attend(
    qkv,
    cos,
    sin,
    y,
    scale,
    tokens: tl.constexpr,
    first: tl.constexpr,
    kept: tl.constexpr,
    own: tl.constexpr,
    shared: tl.constexpr,
    width: tl.constexpr,
    half: tl.constexpr,
    block: tl.constexpr,
    rotates: tl.constexpr,
):
    """A program for each row and head: ``y [B, kept, own width]`` of the tokens from ``first`` on.

    ``qkv [B, tokens, (own + 2 shared) width]``; ``half``: of a head, or more.  ``scale``: of the
    scores, in powers of two.  Keys are rotated once for each query head: that is cheaper than a
    kernel for it.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    stride: tl.constexpr = (own + 2 * shared) * width
    t, d = tl.arange(0, block), tl.arange(0, width)
    source = qkv + row * tokens * stride
    key = source + (own + head // (own // shared)) * width
    query = source + head * width
    k1, k2 = _halves(key, t, stride, t < tokens, cos, sin, width, half, rotates)
    q1, q2 = _halves(query, first + t, stride, t < kept, cos, sin, width, half, rotates)
    scores = tl.dot(q1, tl.trans(k1), input_precision="ieee")
    scores = tl.dot(q2, tl.trans(k2), scores, input_precision="ieee") * scale
    scores = tl.where((t < tokens)[None, :], scores, float("-inf"))
    weights = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
    total = tl.sum(weights, axis=1)
    value = key + shared * width + t[:, None] * stride + d[None, :]
    values = tl.load(value, mask=(t < tokens)[:, None], other=0.0)
    seen = tl.dot(weights.to(values.dtype), values, input_precision="ieee") / total[:, None]
    place = (row * kept + t[:, None]) * (own * width) + head * width + d[None, :]
    tl.store(y + place, seen.to(y.dtype.element_ty), mask=(t < kept)[:, None])
