"""The VAE's decoder: activations fused with causal convolutions, which read their past in place.

    snake_conv      snake, depthwise convolution, snake
    snake_pairs     snake, and the one before it beside: the input of the upsampling product
    snake_output    snake, convolution to one channel, tanh

``x [B, length, channels]`` and what is computed of it; ``past [S, channels, P]`` in float32.  The
program that reads a slot's past replaces it: programs run in any order, and others read only ``x``.

A product in float16 may have overflowed: what is read and written is bounded by ``limit``, the
largest number of the dtype, so that a slot's past stays finite.
"""

import triton
import triton.language as tl


@triton.jit
def sine_squared(v):
    """Return sin²(v), whose period is pi: exact to 3e-7 up to angles of some thousands.

    Triton's sine takes four times as many instructions, and a path for huge angles.
    """
    turns = tl.floor(v * 0.3183098861837907 + 0.5)
    # In two parts, of which the first times a small integer is exact.
    r = (v - turns * 3.140625) - turns * 0.0009676535897932
    square = r * r
    p = 2.6000548132287804e-06
    p = p * square - 0.00019806614727713168
    p = p * square + 0.008333017118275166
    p = p * square - 0.16666656732559204
    sine = r + r * square * p
    return sine * sine


@triton.jit
def _snake(value, scale, offset, alpha, inverse, limit, scales: tl.constexpr):
    """Return the activation of ``scale value + offset``; the parameters are those of channels."""
    value = tl.minimum(tl.maximum(value.to(tl.float32), -limit), limit)
    if scales:
        value = value * scale
    value += offset
    return value + sine_squared(value * alpha) * inverse


@triton.jit
def _bounded(value, limit, like):
    """Return ``value`` in the dtype of what the pointer ``like`` points to."""
    return tl.minimum(tl.maximum(value, -limit), limit).to(like.dtype.element_ty)


@triton.jit
def _input(
    x, past, time, length, channels, size: tl.constexpr, c, exists,
    offset, alpha, inverse, limit, activates: tl.constexpr,
):  # fmt: skip
    """Return the convolution's inputs ``[T, C]`` at ``time [T]``: from ``x``, or from the past.

    Times before ``-size`` and after the end are 0.
    """
    now = (time >= 0) & (time < length)
    value = tl.load(
        x + time.to(tl.int64)[:, None] * channels + c[None, :],
        mask=now[:, None] & exists[None, :], other=0.0,
    ).to(tl.float32)  # fmt: skip
    if activates:
        value = _snake(value, 1.0, offset[None, :], alpha[None, :], inverse[None, :], limit, False)
    before = (time < 0) & (time >= -size)
    old = tl.load(
        past + c[None, :] * size + (time + size)[:, None],
        mask=before[:, None] & exists[None, :], other=0.0,
    )  # fmt: skip
    return tl.where(now[:, None], value, old)


@triton.jit
def _six_inputs(
    x, past, start, length, channels, dilation: tl.constexpr, c, exists,
    o, a, i, limit, activates: tl.constexpr,
):  # fmt: skip
    """Return the inputs before ``start [T]``, ``dilation`` apart: ``[T, C]`` each."""
    size: tl.constexpr = 6 * dilation
    t = start - size
    s0 = _input(x, past, t, length, channels, size, c, exists, o, a, i, limit, activates)
    t += dilation
    s1 = _input(x, past, t, length, channels, size, c, exists, o, a, i, limit, activates)
    t += dilation
    s2 = _input(x, past, t, length, channels, size, c, exists, o, a, i, limit, activates)
    t += dilation
    s3 = _input(x, past, t, length, channels, size, c, exists, o, a, i, limit, activates)
    t += dilation
    s4 = _input(x, past, t, length, channels, size, c, exists, o, a, i, limit, activates)
    t += dilation
    s5 = _input(x, past, t, length, channels, size, c, exists, o, a, i, limit, activates)
    return s0, s1, s2, s3, s4, s5


@triton.jit
def _weights(taps, channels, c, exists):
    """Return the seven weights of each channel, ``[1, C]`` each."""
    w0 = tl.load(taps + c, mask=exists, other=0.0)[None, :]
    w1 = tl.load(taps + channels + c, mask=exists, other=0.0)[None, :]
    w2 = tl.load(taps + 2 * channels + c, mask=exists, other=0.0)[None, :]
    w3 = tl.load(taps + 3 * channels + c, mask=exists, other=0.0)[None, :]
    w4 = tl.load(taps + 4 * channels + c, mask=exists, other=0.0)[None, :]
    w5 = tl.load(taps + 5 * channels + c, mask=exists, other=0.0)[None, :]
    w6 = tl.load(taps + 6 * channels + c, mask=exists, other=0.0)[None, :]
    return w0, w1, w2, w3, w4, w5, w6


@triton.jit
def _replace_past(
    x, past, length, channels, size: tl.constexpr, block_past: tl.constexpr, c, exists,
    offset, alpha, inverse, limit, activates: tl.constexpr,
):  # fmt: skip
    """Store the last ``size`` inputs as the new past, after all that this program reads of it."""
    i = tl.arange(0, block_past)
    value = _input(
        x, past, length - size + i, length, channels, size, c, exists,
        offset, alpha, inverse, limit, activates,
    )  # fmt: skip
    tl.debug_barrier()  # the program's threads have read the past
    inside = (i < size)[:, None] & exists[None, :]
    tl.store(past + c[None, :] * size + i[:, None], value, mask=inside)


@triton.jit
def snake_conv(
    x, taps, bias, offset, alpha, inverse, second_offset, second_alpha, second_inverse, past, slots,
    y, length, channels, stride_slot, limit,
    dilation: tl.constexpr, activates: tl.constexpr, lanes: tl.constexpr, steps: tl.constexpr,
    block: tl.constexpr, block_past: tl.constexpr,
):  # fmt: skip
    """One program per row, ``lanes`` chains of outputs, and block of channels.

    A chain is ``steps`` outputs, ``dilation`` apart, of which each needs one new input: it is
    activated once, and kept for the seven outputs that it is in.  Without ``activates`` there are
    no snakes.  The chains that reach into the past are all in the first program: ``lanes`` is at
    least the dilation, ``steps`` at least 6.
    """
    size: tl.constexpr = 6 * dilation
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c = tl.program_id(2) * block + tl.arange(0, block)
    exists = c < channels
    chain = tile * lanes + tl.arange(0, lanes)
    start = (chain // dilation) * (steps * dilation) + chain % dilation
    x += row * length * channels
    y += row * length * channels
    past += tl.load(slots + row) * stride_slot
    o = tl.load(offset + c, mask=exists, other=0.0)
    a = tl.load(alpha + c, mask=exists, other=0.0)
    i = tl.load(inverse + c, mask=exists, other=0.0)
    o2 = tl.load(second_offset + c, mask=exists, other=0.0)[None, :]
    a2 = tl.load(second_alpha + c, mask=exists, other=0.0)[None, :]
    i2 = tl.load(second_inverse + c, mask=exists, other=0.0)[None, :]
    w0, w1, w2, w3, w4, w5, w6 = _weights(taps, channels, c, exists)
    b = tl.load(bias + c, mask=exists, other=0.0)[None, :]
    s0, s1, s2, s3, s4, s5 = _six_inputs(
        x, past, start, length, channels, dilation, c, exists, o, a, i, limit, activates
    )
    if tile == 0:
        _replace_past(
            x, past, length, channels, size, block_past, c, exists, o, a, i, limit, activates
        )
    for step in range(steps):
        t = start + step * dilation
        inside = (t < length)[:, None] & exists[None, :]
        place = t.to(tl.int64)[:, None] * channels + c[None, :]
        s6 = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
        if activates:
            s6 = _snake(s6, 1.0, o[None, :], a[None, :], i[None, :], limit, False)
        value = b + w0 * s0 + w1 * s1 + w2 * s2 + w3 * s3 + w4 * s4 + w5 * s5 + w6 * s6
        if activates:
            value = _snake(value, 1.0, o2, a2, i2, limit, False)
        tl.store(y + place, _bounded(value, limit, y), mask=inside)
        s0 = s1
        s1 = s2
        s2 = s3
        s3 = s4
        s4 = s5
        s5 = s6


@triton.jit
def snake_pairs(
    x, scale, offset, alpha, inverse, past, slots, y, length, channels, stride_slot, limit,
    scales: tl.constexpr, times: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One program per row, ``times`` times and block of channels of ``x``.

    ``y [B, length, 2 channels]``.
    """
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c = tl.program_id(2) * block + tl.arange(0, block)
    exists = c < channels
    t = tile * times + tl.arange(0, times)
    x += row * length * channels
    y += row * length * channels * 2
    s = tl.load(scale + c, mask=exists, other=0.0)
    o = tl.load(offset + c, mask=exists, other=0.0)
    a = tl.load(alpha + c, mask=exists, other=0.0)
    i = tl.load(inverse + c, mask=exists, other=0.0)
    place = t.to(tl.int64)[:, None] * channels + c[None, :]
    inside = (t < length)[:, None] & exists[None, :]
    value = tl.load(x + place, mask=inside, other=0.0)
    value = _snake(value, s[None, :], o[None, :], a[None, :], i[None, :], limit, scales)
    value = _bounded(value, limit, y)
    target = y + 2 * t.to(tl.int64)[:, None] * channels + c[None, :]
    tl.store(target, value, mask=inside)
    tl.store(target + 3 * channels, value, mask=inside & (t + 1 < length)[:, None])
    if tile == 0:
        edge = past + tl.load(slots + row) * stride_slot + c
        old = tl.load(edge, mask=exists, other=0.0)
        tl.store(y + channels + c, _bounded(old, limit, y), mask=exists)
        last = tl.load(x + (length - 1) * channels + c, mask=exists, other=0.0)
        last = _snake(last, s, o, a, i, limit, scales)
        tl.store(edge, last, mask=exists)  # each thread what it has read


@triton.jit
def snake_output(
    x, taps, bias, offset, alpha, inverse, past, slots, y, length, channels, stride_slot, limit,
    lanes: tl.constexpr, steps: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One program per row and ``lanes`` chains of ``y [B, length]``, as in ``snake_conv``."""
    row, tile = tl.program_id(0).to(tl.int64), tl.program_id(1)
    c = tl.arange(0, block)
    exists = c < channels
    start = (tile * lanes + tl.arange(0, lanes)) * steps
    x += row * length * channels
    y += row * length
    past += tl.load(slots + row) * stride_slot
    o = tl.load(offset + c, mask=exists, other=0.0)
    a = tl.load(alpha + c, mask=exists, other=0.0)
    i = tl.load(inverse + c, mask=exists, other=0.0)
    w0, w1, w2, w3, w4, w5, w6 = _weights(taps, channels, c, exists)
    b = tl.load(bias)
    s0, s1, s2, s3, s4, s5 = _six_inputs(
        x, past, start, length, channels, 1, c, exists, o, a, i, limit, True
    )
    if tile == 0:
        _replace_past(x, past, length, channels, 6, 8, c, exists, o, a, i, limit, True)
    for step in range(steps):
        t = start + step
        inside = t < length
        place = t.to(tl.int64)[:, None] * channels + c[None, :]
        s6 = tl.load(x + place, mask=inside[:, None] & exists[None, :], other=0.0)
        s6 = _snake(s6, 1.0, o[None, :], a[None, :], i[None, :], limit, False)
        value = w0 * s0 + w1 * s1 + w2 * s2 + w3 * s3 + w4 * s4 + w5 * s5 + w6 * s6
        value = tl.sum(value, axis=1) + b
        tl.store(y + t, 1.0 - 2.0 / (tl.exp(2.0 * value) + 1.0), mask=inside)  # tanh
        s0 = s1
        s1 = s2
        s2 = s3
        s3 = s4
        s4 = s5
        s5 = s6
