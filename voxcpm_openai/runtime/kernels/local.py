"""The few tokens of LocEnc and LocDiT, which all see each other."""

import triton
import triton.language as tl


@triton.jit
def _heads(source, tokens, stride, exists, cos, sin, width: tl.constexpr, rotates: tl.constexpr):
    """Load a head of each of ``tokens``, rotated to its place: ``[T, width]``."""
    d = tl.arange(0, width)
    start = source + tokens[:, None] * stride
    x = tl.load(start + d[None, :], mask=exists[:, None], other=0.0)
    if rotates:
        swapped = tl.load(
            start + ((d + width // 2) % width)[None, :], mask=exists[:, None], other=0.0
        )
        turned = tokens[:, None] * width + d[None, :]
        kept = x.to(tl.float32) * tl.load(cos + turned, mask=exists[:, None], other=0.0)
        swap = swapped.to(tl.float32) * tl.load(sin + turned, mask=exists[:, None], other=0.0)
        x = (kept + swap).to(x.dtype)
    return x


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
    block: tl.constexpr,
    rotates: tl.constexpr,
):
    """A program for each row and head: ``y [B, kept, own width]`` of the tokens from ``first`` on.

    ``qkv [B, tokens, (own + 2 shared) width]``.  ``scale``: of the scores, in powers of two.  Keys
    are rotated once for each query head: that is cheaper than a kernel for it.
    """
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    stride: tl.constexpr = (own + 2 * shared) * width
    t, d = tl.arange(0, block), tl.arange(0, width)
    source = qkv + row * tokens * stride
    with_key = source + (own + head // (own // shared)) * width
    keys = _heads(with_key, t, stride, t < tokens, cos, sin, width, rotates)
    values = _heads(with_key + shared * width, t, stride, t < tokens, cos, sin, width, False)
    queries = _heads(
        source + head * width, first + t, stride, t < kept, cos, sin, width, rotates
    )
    scores = tl.dot(queries, tl.trans(keys), input_precision="ieee") * scale
    scores = tl.where((t < tokens)[None, :], scores, float("-inf"))
    weights = tl.exp2(scores - tl.max(scores, axis=1)[:, None])
    total = tl.sum(weights, axis=1)
    seen = tl.dot(weights.to(values.dtype), values, input_precision="ieee") / total[:, None]
    place = (row * kept + t[:, None]) * (own * width) + head * width + d[None, :]
    tl.store(y + place, seen.to(y.dtype.element_ty), mask=(t < kept)[:, None])
