/* What is done with one token's numbers between two products: norms, Gelu, exponentials, and turning them into bytes. */
#pragma once
#include "products.h"
#include <math.h>

/* In two bytes: what stands for 0 in numbers of both signs, for 0 in Gelu's outputs, and the steps above either. */
enum { ZERO = 128 * 256, LEVELS = 32767, LOW = 16 * 256, HIGH = 65535 - LOW, LOUD = 4, FEW = 4 };
#define GELU_LEAST 0.17f

typedef struct { const float *weight, *bias; } Norm;

/* x · Φ(x), to 1.4e-4: max(x, 0) less |x| · Φ(−|x|), which beyond 3.875 stays as it is there, near 0. */
static inline __m512 gelu(__m512 x) {
    static const float terms[] = {0.0106326431f, -0.061186303f, 0.149076361f, -0.0544914962f, -0.383804113f, 0.499036736f};
    enum { SMALLER_SIZE = 10 };
    __m512 size = _mm512_range_ps(x, _mm512_set1_ps(3.875f), SMALLER_SIZE), sum = _mm512_set1_ps(-0.000697577444f);
    for (int term = 0; term < 6; term++) sum = _mm512_fmadd_ps(sum, size, _mm512_set1_ps(terms[term]));
    /* In this order what is no number stays none. */
    return _mm512_fnmadd_ps(sum, size, _mm512_max_ps(_mm512_setzero_ps(), x));
}

/* 2^x, to 4e-6 of it. */
static inline __m512 power_of_two(__m512 x) {
    static const float terms[] = {0.0516903595f, 0.241638444f, 0.692966123f, 1.0000037f};
    __m512 part = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC), sum = _mm512_set1_ps(0.0136976644f);
    for (int term = 0; term < 4; term++) sum = _mm512_fmadd_ps(sum, part, _mm512_set1_ps(terms[term]));
    return _mm512_scalef_ps(sum, x);
}

static inline __m512 hyperbolic_tangent(__m512 x) {
    const __m512 one = _mm512_set1_ps(1), two = _mm512_set1_ps(2);
    __m512 squared = power_of_two(_mm512_mul_ps(x, _mm512_set1_ps(2 * 1.44269504f))); /* e^2x */
    return _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(one, squared)));
}

/* 64 numbers → two bytes each about `zero`: one row of a tile of upper bytes, and one of lower ones `half` further. */
static inline void store_bytes(uint8_t *bytes, long half, const __m512 *numbers, __m512 reciprocal, int zero) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512 middle = _mm512_set1_ps((float)zero);
    __m512i steps[4];
    for (int part = 0; part < 4; part++)
        steps[part] = _mm512_cvtps_epi32(_mm512_fmadd_ps(numbers[part], reciprocal, middle));
    __m512i first = _mm512_packus_epi32(steps[0], steps[1]), second = _mm512_packus_epi32(steps[2], steps[3]);
    __m512i upper = _mm512_packus_epi16(_mm512_srli_epi16(first, 8), _mm512_srli_epi16(second, 8));
    __m512i only = _mm512_set1_epi16(255);
    __m512i lower = _mm512_packus_epi16(_mm512_and_si512(first, only), _mm512_and_si512(second, only));
    _mm512_storeu_si512(bytes, _mm512_permutexvar_epi32(order, upper));
    _mm512_storeu_si512(bytes + half, _mm512_permutexvar_epi32(order, lower));
}

/* Where a row of so many numbers begins among tiles (rows / 16, upper and lower, width / 64, 16, 64). */
static inline uint8_t *tile_row(uint8_t *bytes, long row, long width) {
    return bytes + row / TILE * 2 * TILE * width + row % TILE * QUADS;
}

/* 16 neighbours mixed by Hadamard's matrix, not yet divided by 4. */
static inline __m512 turned(__m512 x) {
    const __m512 one = _mm512_set1_ps(1), minus = _mm512_set1_ps(-1);
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xaaaa, minus), _mm512_permute_ps(x, 0xb1));
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xcccc, minus), _mm512_permute_ps(x, 0x4e));
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xf0f0, minus), _mm512_shuffle_f32x4(x, x, 0xb1));
    return _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xff00, minus), _mm512_shuffle_f32x4(x, x, 0x4e));
}

/* Sums and the largest of a row are taken in four parts, for one must not wait for the other. */
static inline __m512 joined_sum(const __m512 *four) {
    return _mm512_add_ps(_mm512_add_ps(four[0], four[1]), _mm512_add_ps(four[2], four[3]));
}

static inline float joined_largest(const __m512 *four) {
    return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(four[0], four[1]), _mm512_max_ps(four[2], four[3])));
}

/* The size of a step that takes a number of this size into two bytes. */
static inline float step_for(float largest) { return (largest < 1e-6f ? 1e-6f : largest) * (1.0f / LEVELS); }

static inline float row_step(const float *numbers, long width) {
    __m512 largest[4];
    for (int part = 0; part < 4; part++) largest[part] = _mm512_setzero_ps();
    for (long at = 0; at < width; at += QUADS)
        for (int part = 0; part < 4; part++)
            largest[part] = _mm512_max_ps(largest[part], _mm512_abs_ps(_mm512_loadu_ps(numbers + at + part * TILE)));
    return step_for(joined_largest(largest));
}

/* numbers (width,) → two bytes each about ZERO in tiles. */
static inline void row_to_bytes(const float *numbers, float step, long width, uint8_t *bytes) {
    __m512 reciprocal = _mm512_set1_ps(1 / step);
    for (long at = 0; at < width; at += QUADS, bytes += TILE * QUADS) {
        __m512 four[4];
        for (int part = 0; part < 4; part++) four[part] = _mm512_loadu_ps(numbers + at + part * TILE);
        store_bytes(bytes, TILE * width, four, reciprocal, ZERO);
    }
}

/* The same of Gelu's outputs in fp16, whose bytes are about LOW. */
static inline float gelu_step(const uint16_t *halves, long width) {
    /* Positive halves are in the order of their bits, and negative ones below them. */
    __m512i most = _mm512_setzero_si512(), more = most;
    for (long at = 0; at < width; at += QUADS) {
        most = _mm512_max_epi16(most, _mm512_loadu_si512(halves + at));
        more = _mm512_max_epi16(more, _mm512_loadu_si512(halves + at + BLOCK));
    }
    most = _mm512_max_epi16(most, more);
    __m256i folded = _mm256_max_epi16(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    float largest = _mm512_reduce_max_ps(_mm512_cvtph_ps(folded));
    return (largest < GELU_LEAST / LOW * HIGH ? GELU_LEAST / LOW * HIGH : largest) * (1.0f / HIGH);
}

static inline void gelu_to_bytes(const uint16_t *halves, float step, long width, uint8_t *bytes) {
    __m512 reciprocal = _mm512_set1_ps(1 / step);
    for (long at = 0; at < width; at += QUADS, bytes += TILE * QUADS) {
        __m512 numbers[4];
        for (int part = 0; part < 4; part++)
            numbers[part] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(halves + at + part * TILE)));
        store_bytes(bytes, TILE * width, numbers, reciprocal, LOW);
    }
}

/* What LayerNorm multiplies a row's numbers by, and then adds, before its own weight and bias. */
typedef struct { __m512 factor, shift; } Standard;

static inline Standard standard(const float *numbers, float epsilon, long width) {
    __m512 sums[4], squares[4];
    for (int part = 0; part < 4; part++) sums[part] = squares[part] = _mm512_setzero_ps();
    for (long at = 0; at < width; at += QUADS)
        for (int part = 0; part < 4; part++)
            sums[part] = _mm512_add_ps(sums[part], _mm512_loadu_ps(numbers + at + part * TILE));
    float mean = _mm512_reduce_add_ps(joined_sum(sums)) / width;
    for (long at = 0; at < width; at += QUADS)
        for (int part = 0; part < 4; part++) {
            __m512 away = _mm512_sub_ps(_mm512_loadu_ps(numbers + at + part * TILE), _mm512_set1_ps(mean));
            squares[part] = _mm512_fmadd_ps(away, away, squares[part]);
        }
    float factor = 1 / sqrtf(_mm512_reduce_add_ps(joined_sum(squares)) / width + epsilon);
    return (Standard){_mm512_set1_ps(factor), _mm512_set1_ps(-mean * factor)};
}

static inline __m512 normal(Standard to, const float *numbers, Norm norm, long at) {
    __m512 number = _mm512_fmadd_ps(_mm512_loadu_ps(numbers + at), to.factor, to.shift);
    return _mm512_fmadd_ps(number, _mm512_loadu_ps(norm.weight + at), _mm512_loadu_ps(norm.bias + at));
}

/* LayerNorm of hidden (width,), in place. */
static inline void normalise(float *hidden, Norm norm, float epsilon, long width) {
    Standard to = standard(hidden, epsilon, width);
    for (long at = 0; at < width; at += TILE) _mm512_storeu_ps(hidden + at, normal(to, hidden, norm, at));
}

/* The same for a few rows, at most FEW, from row `from` of hidden (rows, width), which are then turned and in two bytes each
   in tiles. `room` (FEW, width) is to work in; `scales` (rows,) are the sizes of steps. With `weight` (LOUD, width) also
   its products with hidden → heard (rows, LOUD). */
static inline __attribute__((always_inline)) void normalise_to_bytes(float *hidden, long from, long rows, Norm norm,
                                                                     float epsilon, long width, float *room,
                                                                     uint8_t *bytes, float *scales, const float *weight,
                                                                     float *heard) {
    /* Each step for all of them before the next one: a row's step waits for its last, other rows' do not. */
    Standard to[FEW];
    hidden += from * width, scales += from;
    for (long row = 0; row < rows; row++) to[row] = standard(hidden + row * width, epsilon, width);
    for (long row = 0; row < rows; row++) {
        float *numbers = hidden + row * width;
        __m512 most[4], told[LOUD];
        for (int part = 0; part < 4; part++) most[part] = _mm512_setzero_ps();
        for (int neuron = 0; neuron < LOUD; neuron++) told[neuron] = _mm512_setzero_ps();
        for (long at = 0; at < width; at += QUADS)
            for (int part = 0; part < 4; part++) {
                const long here = at + part * TILE;
                __m512 number = normal(to[row], numbers, norm, here);
                _mm512_storeu_ps(numbers + here, number);
                if (weight)
                    for (int neuron = 0; neuron < LOUD; neuron++)
                        told[neuron] =
                            _mm512_fmadd_ps(number, _mm512_loadu_ps(weight + neuron * width + here), told[neuron]);
                _mm512_storeu_ps(room + row * width + here, number = turned(number));
                most[part] = _mm512_max_ps(most[part], _mm512_abs_ps(number));
            }
        scales[row] = step_for(joined_largest(most));
        if (weight)
            for (int neuron = 0; neuron < LOUD; neuron++)
                heard[(from + row) * LOUD + neuron] = _mm512_reduce_add_ps(told[neuron]);
    }
    for (long row = 0; row < rows; row++) {
        row_to_bytes(room + row * width, scales[row], width, tile_row(bytes, from + row, width));
        scales[row] *= 0.25f; /* turned, numbers are 4 times as large as they count */
    }
}
