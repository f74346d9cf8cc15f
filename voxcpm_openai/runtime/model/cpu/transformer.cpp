// The operators of the transformers and of the solver.  Shapes are those of `ops.Ops`.

#include <vector>

#include "vectors.h"

namespace {

// Rows of a view [outer, inner, width] whose width is contiguous.
struct Rows {
    int64_t inner, outer_stride, inner_stride;
    int64_t at(int64_t row) const { return row / inner * outer_stride + row % inner * inner_stride; }
};

template <typename T>
void normalize(const T* x, const T* weight, float epsilon, T* y, int64_t width) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += load(x[i]) * load(x[i]);
    float scale = 1.0f / std::sqrt(sum / static_cast<float>(width) + epsilon);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) store(&y[i], load(x[i]) * scale * load(weight[i]));
}

template <typename T>
void add_norm(const T* x, Rows rows, const T* delta, const T* weight, float epsilon, T* sum, T* y,
              int64_t count, int64_t width, int64_t threads) {
    parallel(count, 0.3 * width, threads, [&](int64_t row) {
        const T* from = x + rows.at(row);
        if (delta != nullptr) {
            const T* added = delta + row * width;
            T* to = sum + row * width;
#pragma omp simd
            for (int64_t i = 0; i < width; ++i) store(&to[i], load(from[i]) + load(added[i]));
            from = to;
        }
        normalize(from, weight, epsilon, y + row * width, width);
    });
}

template <typename T>
void swiglu(const T* gate_up, T* y, int64_t count, int64_t width, int64_t threads) {
    parallel(count, 0.7 * width, threads, [&](int64_t row) {
        const T *gate = gate_up + 2 * row * width, *up = gate + width;
        T* to = y + row * width;
#pragma omp simd
        for (int64_t i = 0; i < width; ++i)
            store(&to[i], rounded<T>(silu(load(gate[i]))) * load(up[i]));
    });
}

// Rotates one head as `Rope` says; without tables it only widens.
template <typename T>
void rotate(const T* x, const float* cos, const float* sin, float* y, int64_t size) {
    int64_t half = size / 2;
    if (cos == nullptr) {
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) y[i] = load(x[i]);
        return;
    }
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
        float first = load(x[i]), second = load(x[half + i]);
        y[i] = rounded<T>(first * cos[i] + second * sin[i]);
        y[half + i] = rounded<T>(second * cos[half + i] + first * sin[half + i]);
    }
}

// Attention of one query over `length` keys and values of `size` each; `scores [length]`.
template <typename T, typename Out>
void attend(const float* query, const T* keys, const T* values, int64_t length, int64_t size,
            float* scores, float* sum, Out* y) {
    float scale = 1.0f / std::sqrt(static_cast<float>(size)), largest = -INFINITY;
    for (int64_t t = 0; t < length; ++t) {
        const T* key = keys + t * size;
        float dot = 0.0f;
#pragma omp simd reduction(+ : dot)
        for (int64_t i = 0; i < size; ++i) dot += query[i] * load(key[i]);
        scores[t] = dot * scale;
        largest = scores[t] > largest ? scores[t] : largest;
    }
    float total = 0.0f;
#pragma omp simd reduction(+ : total)
    for (int64_t t = 0; t < length; ++t) {
        float above = scores[t] - largest;
        // `exponential` clamps: a NaN would be lost.
        scores[t] = above == above ? exponential(above) : above;
        total += scores[t];
    }
    for (int64_t i = 0; i < size; ++i) sum[i] = 0.0f;
    for (int64_t t = 0; t < length; ++t) {
        const T* value = values + t * size;
        float weight = scores[t];
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) sum[i] += weight * load(value[i]);
    }
    float inverse = 1.0f / total;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) store(&y[i], sum[i] * inverse);
}

template <typename T>
void attention(const T* qkv, const float* cos, const float* sin, T* y, int64_t batch,
               int64_t tokens, int64_t heads, int64_t kv_heads, int64_t size, int64_t first,
               int64_t kept, int64_t threads) {
    int64_t group = heads / kv_heads, row = (heads + 2 * kv_heads) * size;
    double cost = 0.3 * tokens * size * (2 + group * kept);
    parallel(batch * kv_heads, cost, threads, [&](int64_t item) {
        int64_t b = item / kv_heads, kv = item % kv_heads;
        std::vector<float> scratch((2 * tokens + 2) * size + tokens);
        float *keys = scratch.data(), *values = keys + tokens * size;
        float *query = values + tokens * size, *sum = query + size, *scores = sum + size;
        auto table = [&](const float* all, int64_t t) { return all ? all + t * size : nullptr; };
        for (int64_t t = 0; t < tokens; ++t) {
            const T* token = qkv + (b * tokens + t) * row;
            rotate(token + (heads + kv) * size, table(cos, t), table(sin, t), keys + t * size,
                   size);
            rotate<T>(token + (heads + kv_heads + kv) * size, nullptr, nullptr, values + t * size,
                      size);
        }
        for (int64_t t = first; t < first + kept; ++t) {
            for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
                const T* head = qkv + (b * tokens + t) * row + h * size;
                rotate(head, table(cos, t), table(sin, t), query, size);
                T* to = y + ((b * kept + t - first) * heads + h) * size;
                attend(query, keys, values, tokens, size, scores, sum, to);
            }
        }
    });
}

// The slots of one layer, [S, KV, N, D]: S and KV may have any stride.
struct Cache {
    int64_t slot_stride, head_stride;
};

template <typename T>
void decode_attention(const T* qkv, const float* cos, const float* sin, T* k, T* v, Cache cache,
                      const int64_t* slots, const int64_t* positions, T* y, int64_t batch,
                      int64_t heads, int64_t kv_heads, int64_t size, int64_t threads) {
    int64_t group = heads / kv_heads, row = (heads + 2 * kv_heads) * size, longest = 0;
    auto table = [&](const float* all, int64_t at) { return all ? all + at * size : nullptr; };
    std::vector<float> turned(size);
    // All are stored before any is read: rows of one slot attend to each other.
    for (int64_t b = 0; b < batch; ++b) {
        int64_t at = positions[b];
        longest = at + 1 > longest ? at + 1 : longest;
        for (int64_t kv = 0; kv < kv_heads; ++kv) {
            const T* key = qkv + b * row + (heads + kv) * size;
            int64_t place = slots[b] * cache.slot_stride + kv * cache.head_stride + at * size;
            rotate(key, table(cos, at), table(sin, at), turned.data(), size);
            for (int64_t i = 0; i < size; ++i) store(&k[place + i], turned[i]);
            std::memcpy(v + place, key + kv_heads * size, size * sizeof(T));
        }
    }
    parallel(batch * kv_heads, 0.3 * longest * size * group, threads, [&](int64_t item) {
        int64_t b = item / kv_heads, kv = item % kv_heads, at = positions[b];
        int64_t place = slots[b] * cache.slot_stride + kv * cache.head_stride;
        std::vector<float> scratch(2 * size + at + 1);
        float *query = scratch.data(), *sum = query + size, *scores = sum + size;
        for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
            rotate(qkv + b * row + h * size, table(cos, at), table(sin, at), query, size);
            T* to = y + (b * heads + h) * size;
            attend(query, k + place, v + place, at + 1, size, scores, sum, to);
        }
    });
}

template <typename T>
void build_dit_input(const T* condition, const T* time, const T* past, const T* frames, T* y,
                     int64_t batch, int64_t conditions, int64_t patch, int64_t width,
                     int64_t separate) {
    int64_t prefix = conditions + separate, length = prefix + 2 * patch;
    for (int64_t both = 0; both < 2 * batch; ++both) {
        int64_t b = both % batch;
        T* to = y + both * length * width;
        for (int64_t m = 0; m < conditions; ++m) {
            const T* from = condition + (b * conditions + m) * width;
            for (int64_t i = 0; i < width; ++i) {
                float given = both < batch ? load(from[i]) : 0.0f;
                store(&to[m * width + i], separate ? given : given + load(time[b * width + i]));
            }
        }
        if (separate) std::memcpy(to + conditions * width, time + b * width, width * sizeof(T));
        to += prefix * width;
        std::memcpy(to, past + b * patch * width, patch * width * sizeof(T));
        std::memcpy(to + patch * width, frames + b * patch * width, patch * width * sizeof(T));
    }
}

template <typename T>
void cfg_euler_step(float* x, const T* velocity, const float* cfg, const float* step_sizes,
                    int64_t batch, int64_t size) {
    for (int64_t b = 0; b < batch; ++b) {
        const T *given = velocity + b * size, *without = velocity + (batch + b) * size;
        float dot = 0.0f, norm = 0.0f;
#pragma omp simd reduction(+ : dot, norm)
        for (int64_t i = 0; i < size; ++i) {
            dot += load(given[i]) * load(without[i]);
            norm += load(without[i]) * load(without[i]);
        }
        float scale = dot / (norm + 1e-8f), guidance = cfg[b], step = step_sizes[b];
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) {
            float base = load(without[i]) * scale;
            x[b * size + i] -= step * (base + guidance * (load(given[i]) - base));
        }
    }
}

// Writes a row in 8 bits, and returns its scale.
float quantize_row(const float* x, uint8_t* y, int64_t width) {
    // As integers the sizes of numbers have the same order, and a NaN is the largest.
    int32_t largest = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < width; ++i) {
        int32_t bits;
        std::memcpy(&bits, &x[i], 4);
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    float size;
    std::memcpy(&size, &largest, 4);
    float scale = (size < 1e-12f ? 1e-12f : size) / 127.0f;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) {
        float near = __builtin_rintf(clamped(x[i] / scale, -127.0f, 127.0f));
        y[i] = static_cast<uint8_t>(static_cast<int32_t>(near) + 128);
    }
    return scale;
}

}  // namespace

// Rows to unsigned 8-bit numbers around 128, with one scale each.
EXPORT quantize(const float* x, uint8_t* y, float* scales, int64_t count, int64_t width,
                int64_t threads) {
    parallel(count, 0.4 * width, threads, [&](int64_t row) {
        scales[row] = quantize_row(x + row * width, y + row * width, width);
    });
}

// silu(gate) * up of rows [gate, up] times their scales, to 8 bits with scales of their own.
EXPORT swiglu_int8(const float* gate_up, const float* factors, uint8_t* y, float* scales,
                   int64_t count, int64_t width, int64_t threads) {
    parallel(count, 1.2 * width, threads, [&](int64_t row) {
        const float *gate = gate_up + 2 * row * width, *up = gate + width;
        float factor = factors[row];
        std::vector<float> product(width);
        float* to = product.data();
#pragma omp simd
        for (int64_t i = 0; i < width; ++i) to[i] = silu(gate[i] * factor) * (up[i] * factor);
        scales[row] = quantize_row(to, y + row * width, width);
    });
}

// Rows times their scales, in place; plus a bias unless that is null.
EXPORT rescale(float* y, const float* scales, const float* bias, int64_t count, int64_t width,
               int64_t threads) {
    parallel(count, 0.15 * width, threads, [&](int64_t row) {
        float *to = y + row * width, scale = scales[row];
        if (bias == nullptr) {
#pragma omp simd
            for (int64_t i = 0; i < width; ++i) to[i] *= scale;
        } else {
#pragma omp simd
            for (int64_t i = 0; i < width; ++i) to[i] = bias[i] + to[i] * scale;
        }
    });
}

#define OPERATORS(T, name)                                                                        \
    EXPORT add_norm_##name(const T* x, int64_t inner, int64_t outer_stride, int64_t inner_stride, \
                           const T* delta, const T* weight, float epsilon, T* sum, T* y,          \
                           int64_t count, int64_t width, int64_t threads) {                       \
        Rows rows{inner, outer_stride, inner_stride};                                             \
        add_norm(x, rows, delta, weight, epsilon, sum, y, count, width, threads);                 \
    }                                                                                             \
    EXPORT swiglu_##name(const T* gate_up, T* y, int64_t count, int64_t width, int64_t threads) { \
        swiglu(gate_up, y, count, width, threads);                                                \
    }                                                                                             \
    EXPORT attention_##name(const T* qkv, const float* cos, const float* sin, T* y,               \
                            int64_t batch, int64_t tokens, int64_t heads, int64_t kv_heads,       \
                            int64_t size, int64_t first, int64_t kept, int64_t threads) {         \
        attention(qkv, cos, sin, y, batch, tokens, heads, kv_heads, size, first, kept, threads);  \
    }                                                                                             \
    EXPORT decode_attention_##name(const T* qkv, const float* cos, const float* sin, T* k, T* v,  \
                                   int64_t slot_stride, int64_t head_stride,                      \
                                   const int64_t* slots, const int64_t* positions, T* y,          \
                                   int64_t batch, int64_t heads, int64_t kv_heads, int64_t size,  \
                                   int64_t threads) {                                             \
        Cache cache{slot_stride, head_stride};                                                    \
        decode_attention(qkv, cos, sin, k, v, cache, slots, positions, y, batch, heads, kv_heads, \
                         size, threads);                                                          \
    }                                                                                             \
    EXPORT build_dit_input_##name(const T* condition, const T* time, const T* past,               \
                                  const T* frames, T* y, int64_t batch, int64_t conditions,       \
                                  int64_t patch, int64_t width, int64_t separate) {               \
        build_dit_input(condition, time, past, frames, y, batch, conditions, patch, width,        \
                        separate);                                                                \
    }                                                                                             \
    EXPORT cfg_euler_step_##name(float* x, const T* velocity, const float* cfg,                   \
                                 const float* step_sizes, int64_t batch, int64_t size) {          \
        cfg_euler_step(x, velocity, cfg, step_sizes, batch, size);                                \
    }

OPERATORS(float, float32)
OPERATORS(bf16, bfloat16)
