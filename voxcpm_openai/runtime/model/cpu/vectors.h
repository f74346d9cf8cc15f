// Numbers, functions and threads that the operators share.
//
// Loops over `#pragma omp simd` become vector instructions of the ISA that the compiler is told;
// sums are float32.  No flag lets the compiler assume finite numbers: a NaN must stay one.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

using std::int64_t;

#define EXPORT extern "C" __attribute__((visibility("default"))) void

constexpr double WORTH_WAKING = 10000.0;  // nanoseconds

// bfloat16: the upper half of a float.
struct bf16 {
    uint16_t bits;
};

inline float load(float x) { return x; }

inline float load(bf16 x) {
    uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, 4);
    return wide;
}

inline void store(float* to, float x) { *to = x; }

// Rounds to the nearest, ties to even; a NaN stays one.
inline void store(bf16* to, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    to->bits = static_cast<uint16_t>(x == x ? rounded : 0x7fc0);
}

template <typename T>
inline float rounded(float x) {
    T narrow;
    store(&narrow, x);
    return load(narrow);
}

inline float clamped(float x, float low, float high) {
    x = x > low ? x : low;
    return x < high ? x : high;
}

// exp(x), within 2e-7 of it; 0 and the largest power beyond its range.
inline float exponential(float x) {
    x = clamped(x, -87.0f, 88.0f);
    float n = __builtin_rintf(x * 1.44269504f);
    float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
    float p = 1.98756915e-4f;
    p = p * r + 1.39819995e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657959e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000013e-1f;
    p = p * r * r + r + 1.0f;
    int32_t power = (static_cast<int32_t>(n) + 127) << 23;
    float scale;
    std::memcpy(&scale, &power, 4);
    return p * scale;
}

// sin(x)^2, which has period pi; exact to 2e-7 up to 1e4, finite for all x.
inline float squared_sine(float x) {
    float n = __builtin_rintf(x * 0.318309886f);
    float r = x - n * 3.140625f;
    r = r - n * 9.67502593994140625e-4f;
    r = r - n * 1.509957990978376432e-7f;
    r = clamped(r, -2.0f, 2.0f);
    float s = r * r;
    float p = -2.38889859e-8f;
    p = p * s + 2.75256442e-6f;
    p = p * s - 1.98408743e-4f;
    p = p * s + 8.33333056e-3f;
    p = p * s - 1.66666667e-1f;
    float sine = r + r * s * p;
    return sine * sine;
}

inline float silu(float x) { return x / (1.0f + exponential(-x)); }

// The thread pool of the OpenMP runtime that PyTorch has loaded, by the names that GCC's code calls.
// Nothing is linked: a second runtime would have a second pool, whose threads take turns with the
// first one's.
extern "C" void GOMP_parallel(void (*run)(void*), void* data, unsigned threads, unsigned flags);
extern "C" int omp_get_thread_num(void);
extern "C" int omp_get_num_threads(void);

// Runs `work(i)` for i below `count`, on so many threads of the pool.
// `cost`: of one i, about nanoseconds; a pool is not worth waking for a few microseconds.
template <typename Work>
inline void parallel(int64_t count, double cost, int64_t threads, const Work& work) {
    struct Task {
        const Work& work;
        int64_t count;
    } task{work, count};
    if (threads <= 1 || count <= 1 || static_cast<double>(count) * cost < WORTH_WAKING) {
        for (int64_t i = 0; i < count; ++i) work(i);
        return;
    }
    auto run = [](void* data) {
        const Task& task = *static_cast<const Task*>(data);
        int64_t thread = omp_get_thread_num(), team = omp_get_num_threads();
        int64_t end = task.count * (thread + 1) / team;
        for (int64_t i = task.count * thread / team; i < end; ++i) task.work(i);
    };
    GOMP_parallel(run, &task, static_cast<unsigned>(threads), 0);
}
