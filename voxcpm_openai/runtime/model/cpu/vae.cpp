// The operators of the audio VAE.  Shapes are those of `ops.Ops`.
//
// Tensors are [B, T, C] of T, float or bf16: vectors run over channels, and a program over time with
// the last inputs of a block of channels in the first-level cache.  A slot's past is [C, P], in
// float32 as are all weights, where it lies.

#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t LANES = 16;   // channels of a block
constexpr int64_t TILE = 256;   // steps of time that are computed at once
constexpr int64_t TAPS = 7;

// snake(scale x + offset); all [C], scale may be null.
struct Snake {
    const float *alpha, *inverse, *offset, *scale;
};

inline float snake(float x, float alpha, float inverse) {
    return x + squared_sine(x * alpha) * inverse;
}

// Activates `steps` rows of a block of channels into z [steps, LANES].
template <typename T>
void activate(const T* x, int64_t stride, Snake by, int64_t begin, int64_t lanes, float* z,
              int64_t steps) {
    float alpha[LANES] = {}, inverse[LANES] = {}, offset[LANES] = {}, scale[LANES] = {};
    for (int64_t c = 0; c < lanes; ++c) {
        offset[c] = by.offset ? by.offset[begin + c] : 0.0f;
        scale[c] = by.scale ? by.scale[begin + c] : 1.0f;
        if (by.alpha == nullptr) continue;
        alpha[c] = by.alpha[begin + c];
        inverse[c] = by.inverse[begin + c];
    }
    for (int64_t t = 0; t < steps; ++t) {
        const T* from = x + t * stride + begin;
        float* to = z + t * LANES;
        if (lanes == LANES) {
#pragma omp simd
            for (int64_t c = 0; c < LANES; ++c)
                to[c] = snake(load(from[c]) * scale[c] + offset[c], alpha[c], inverse[c]);
        } else {
            for (int64_t c = 0; c < LANES; ++c) {
                float wide = c < lanes ? load(from[c]) : 0.0f;
                to[c] = snake(wide * scale[c] + offset[c], alpha[c], inverse[c]);
            }
        }
    }
}

// The past of one slot and a block of channels, [lanes, P], to and from z [P, LANES].
void read_past(const float* past, int64_t size, int64_t lanes, float* z) {
    for (int64_t p = 0; p < size; ++p)
        for (int64_t c = 0; c < LANES; ++c) z[p * LANES + c] = c < lanes ? past[c * size + p] : 0.0f;
}

void write_past(float* past, int64_t size, int64_t lanes, const float* z) {
    for (int64_t c = 0; c < lanes; ++c)
        for (int64_t p = 0; p < size; ++p) past[c * size + p] = z[p * LANES + c];
}

// Calls `use(z, t, steps)` for tiles of activations: z [P + steps, LANES] begins with the past of
// the tile at time t.  The slot's past is replaced by the end of all.
template <typename T, typename Use>
void over_time(const T* x, int64_t length, int64_t channels, Snake by, int64_t begin,
               int64_t lanes, float* past, int64_t size, const Use& use) {
    int64_t tile = length < TILE ? length : TILE;
    std::vector<float> buffer((size + tile) * LANES);
    float* z = buffer.data();
    read_past(past, size, lanes, z);
    for (int64_t t = 0; t < length; t += tile) {
        int64_t steps = length - t < tile ? length - t : tile;
        activate(x + t * channels, channels, by, begin, lanes, z + size * LANES, steps);
        use(z, t, steps);
        std::memmove(z, z + steps * LANES, size * LANES * sizeof(float));
    }
    write_past(past, size, lanes, z);
}

// One tile of a depthwise convolution: y [steps, lanes] of z [P + steps, LANES].
template <typename T>
void convolve(const float* z, const float (*taps)[LANES], const float* bias, int64_t dilation,
              const float* alpha, const float* inverse, T* y, int64_t stride, int64_t lanes,
              int64_t steps) {
    for (int64_t t = 0; t < steps; ++t) {
        T sum[LANES];
        const float* at = z + t * LANES;
#pragma omp simd
        for (int64_t c = 0; c < LANES; ++c) {
            float total = bias[c];
            for (int64_t k = 0; k < TAPS; ++k) total += taps[k][c] * at[k * dilation * LANES + c];
            store(&sum[c], snake(total, alpha[c], inverse[c]));
        }
        if (lanes == LANES)
            std::memcpy(y + t * stride, sum, sizeof(sum));
        else
            for (int64_t c = 0; c < lanes; ++c) y[t * stride + c] = sum[c];
    }
}

// How many blocks of channels there are, and the channels of one.
int64_t blocks(int64_t channels) { return (channels + LANES - 1) / LANES; }
int64_t lanes_of(int64_t channels, int64_t begin) {
    return channels - begin < LANES ? channels - begin : LANES;
}

// x [B, T, C] to y [B, T, C]; taps [7, C]; past [S, C, 6 dilation], whose slots have a stride.
template <typename T>
void snake_conv(const T* x, Snake by, const float* taps, const float* bias, int64_t dilation,
                Snake after, float* past, int64_t slot_stride, const int64_t* slots, T* y,
                int64_t batch, int64_t length, int64_t channels, int64_t threads) {
    int64_t size = (TAPS - 1) * dilation, count = blocks(channels);
    parallel(batch * count, 25.0 * length, threads, [&](int64_t item) {
        int64_t b = item / count, begin = item % count * LANES, lanes = lanes_of(channels, begin);
        float weight[TAPS][LANES] = {}, added[LANES] = {}, alpha[LANES] = {}, inverse[LANES] = {};
        for (int64_t c = 0; c < lanes; ++c) {
            for (int64_t k = 0; k < TAPS; ++k) weight[k][c] = taps[k * channels + begin + c];
            added[c] = bias[begin + c];
            if (after.alpha == nullptr) continue;
            alpha[c] = after.alpha[begin + c];
            inverse[c] = after.inverse[begin + c];
            float scale = after.scale ? after.scale[begin + c] : 1.0f;
            for (int64_t k = 0; k < TAPS; ++k) weight[k][c] *= scale;
            added[c] = added[c] * scale + after.offset[begin + c];
        }
        float* own = past + slots[b] * slot_stride + begin * size;
        over_time(x + b * length * channels, length, channels, by, begin, lanes, own, size,
                  [&](const float* z, int64_t t, int64_t steps) {
                      convolve(z, weight, added, dilation, alpha, inverse,
                                     y + (b * length + t) * channels + begin, channels, lanes,
                                     steps);
                  });
    });
}

// x [B, T, C] to y [B, T, 2 C]: each activation, and the one before it; past [S, C, 1].
template <typename T>
void snake_pairs(const T* x, Snake by, float* past, int64_t slot_stride, const int64_t* slots, T* y,
                 int64_t batch, int64_t length, int64_t channels, int64_t threads) {
    int64_t count = blocks(channels);
    parallel(batch * count, 12.0 * length, threads, [&](int64_t item) {
        int64_t b = item / count, begin = item % count * LANES, lanes = lanes_of(channels, begin);
        over_time(x + b * length * channels, length, channels, by, begin, lanes,
                  past + slots[b] * slot_stride + begin, 1,
                  [&](const float* z, int64_t t, int64_t steps) {
                      for (int64_t i = 0; i < steps; ++i) {
                          T* to = y + 2 * (b * length + t + i) * channels + begin;
                          for (int64_t c = 0; c < lanes; ++c) {
                              store(&to[c], z[(i + 1) * LANES + c]);
                              store(&to[channels + c], z[i * LANES + c]);
                          }
                      }
                  });
    });
}

// x [B, T, C] to y [B, T]: tanh of a convolution of all channels; taps [7, C], past [S, C, 6].
template <typename T>
void snake_output(const T* x, Snake by, const float* taps, const float* bias, float* past,
                  int64_t slot_stride, const int64_t* slots, float* y, int64_t batch,
                  int64_t length, int64_t channels, int64_t threads) {
    constexpr int64_t SIZE = TAPS - 1;
    parallel(batch, 2.0 * length * channels, threads, [&](int64_t b) {
        float* to = y + b * length;
        std::vector<float> sums(length * LANES);
        for (int64_t begin = 0; begin < channels; begin += LANES) {
            int64_t lanes = lanes_of(channels, begin);
            float weight[TAPS][LANES] = {};
            for (int64_t k = 0; k < TAPS; ++k)
                for (int64_t c = 0; c < lanes; ++c) weight[k][c] = taps[k * channels + begin + c];
            over_time(x + b * length * channels, length, channels, by, begin, lanes,
                      past + slots[b] * slot_stride + begin * SIZE, SIZE,
                      [&](const float* z, int64_t t, int64_t steps) {
                          for (int64_t i = 0; i < steps; ++i) {
                              float* sum = sums.data() + (t + i) * LANES;
#pragma omp simd
                              for (int64_t c = 0; c < LANES; ++c)
                                  for (int64_t k = 0; k < TAPS; ++k)
                                      sum[c] += weight[k][c] * z[(i + k) * LANES + c];
                          }
                      });
        }
        for (int64_t t = 0; t < length; ++t) {
            float total = bias[0];
            for (int64_t c = 0; c < LANES; ++c) total += sums[t * LANES + c];
            to[t] = std::tanh(total);
        }
    });
}

}  // namespace

// x + sin(a x)^2 / a of x [B, C, T], with a and 1 / a [C].
EXPORT snake_rows(const float* x, const float* alpha, const float* inverse, float* y,
                  int64_t batch, int64_t channels, int64_t length, int64_t threads) {
    parallel(batch * channels, 0.5 * length, threads, [&](int64_t row) {
        float a = alpha[row % channels], b = inverse[row % channels];
        const float* from = x + row * length;
        float* to = y + row * length;
#pragma omp simd
        for (int64_t t = 0; t < length; ++t) to[t] = snake(from[t], a, b);
    });
}


#define OPERATORS(T, name)                                                                        \
    EXPORT snake_conv_##name(                                                                     \
        const T* x, const float* before_alpha, const float* before_inverse,                       \
        const float* before_offset, const float* before_scale, const float* taps,                 \
        const float* bias, int64_t dilation, const float* after_alpha,                            \
        const float* after_inverse, const float* after_offset, const float* after_scale,          \
        float* past, int64_t slot_stride, const int64_t* slots, T* y, int64_t batch,              \
        int64_t length, int64_t channels, int64_t threads) {                                      \
        Snake before{before_alpha, before_inverse, before_offset, before_scale};                  \
        Snake after{after_alpha, after_inverse, after_offset, after_scale};                       \
        snake_conv(x, before, taps, bias, dilation, after, past, slot_stride, slots, y, batch,    \
                   length, channels, threads);                                                    \
    }                                                                                             \
    EXPORT snake_pairs_##name(const T* x, const float* alpha, const float* inverse,               \
                              const float* offset, const float* scale, float* past,               \
                              int64_t slot_stride, const int64_t* slots, T* y, int64_t batch,     \
                              int64_t length, int64_t channels, int64_t threads) {                \
        Snake by{alpha, inverse, offset, scale};                                                  \
        snake_pairs(x, by, past, slot_stride, slots, y, batch, length, channels, threads);        \
    }                                                                                             \
    EXPORT snake_output_##name(const T* x, const float* alpha, const float* inverse,              \
                               const float* offset, const float* scale, const float* taps,        \
                               const float* bias, float* past, int64_t slot_stride,               \
                               const int64_t* slots, float* y, int64_t batch, int64_t length,     \
                               int64_t channels, int64_t threads) {                               \
        Snake by{alpha, inverse, offset, scale};                                                  \
        snake_output(x, by, taps, bias, past, slot_stride, slots, y, batch, length, channels,     \
                     threads);                                                                    \
    }

OPERATORS(float, float32)
OPERATORS(bf16, bfloat16)
