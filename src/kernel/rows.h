/* What is done with one token's numbers between two products: norms, Gelu, exponentials, and turning them into bytes. */
#pragma once
#include "products.h"
#include <math.h>

/* In two bytes: what stands for 0 in numbers of both signs, for 0 in Gelu's outputs, and the steps above either. */
enum { ZERO = 128 * 256, LEVELS = 32767, LOW = 16 * 256, HIGH = 65535 - LOW, LOUD = 4 };
#define GELU_LEAST 0.17f

typedef struct { const float *weight, *bias; } Norm;

/* x · Φ(x), to 1.4e-4: max(x, 0) less |x| · Φ(−|x|), which beyond 3.875 stays as it is there, near 0. */
static inline __m512 gelu(__m512 x) {
    static const float terms[] = {0.0106326431f, -0.061186303f, 0.149076361f, -0.0544914962f, -0.383804113f, 0.499036736f};
    enum { SMALLER_SIZE = 10 };
    __m512 size = _mm512_range_ps(x, _mm512_set1_ps(3.875f), SMALLER_SIZE), sum = _mm512_set1_ps(-0.000697577444f);
    for (int term = 0; term < 6; term++) sum = _mm512_fmadd_ps(sum, size, _mm512_set1_ps(terms[term]));
    return _mm512_fnmadd_ps(sum, size, _mm512_max_ps(x, _mm512_setzero_ps()));
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
    return _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(one, power_of_two(_mm512_mul_ps(x, _mm512_set1_ps(2 * 1.44269504f))))));
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

/* numbers (width,) → two bytes each in tiles; returns the size of a step. Where there is a row (width,) to work in, the
   numbers are turned. */
static inline float row_to_bytes(const float *numbers, float *row, long width, uint8_t *bytes) {
    __m512 largest[4];
    for (int part = 0; part < 4; part++) largest[part] = _mm512_set1_ps(1e-6f);
    for (long at = 0; at < width; at += QUADS)
        for (int part = 0; part < 4; part++) {
            __m512 number = _mm512_loadu_ps(numbers + at + part * TILE);
            if (row) _mm512_storeu_ps(row + at + part * TILE, number = turned(number));
            largest[part] = _mm512_max_ps(largest[part], _mm512_abs_ps(number));
        }
    __m512 most = _mm512_max_ps(_mm512_max_ps(largest[0], largest[1]), _mm512_max_ps(largest[2], largest[3]));
    float scale = _mm512_reduce_max_ps(most) * (1.0f / LEVELS);
    __m512 reciprocal = _mm512_set1_ps(1 / scale);
    const float *from = row ? row : numbers;
    for (long at = 0; at < width; at += QUADS, bytes += TILE * QUADS) {
        __m512 four[4];
        for (int part = 0; part < 4; part++) four[part] = _mm512_loadu_ps(from + at + part * TILE);
        store_bytes(bytes, TILE * width, four, reciprocal, ZERO);
    }
    return row ? scale * 0.25f : scale;
}

/* Gelu's outputs in fp16 (width,) → two bytes each about LOW in tiles; returns the size of a step. */
static inline float gelu_to_bytes(const uint16_t *halves, long width, uint8_t *bytes) {
    /* Positive halves are in the order of their bits, and negative ones below them. */
    __m512i most = _mm512_setzero_si512(), more = most;
    for (long at = 0; at < width; at += QUADS) {
        most = _mm512_max_epi16(most, _mm512_loadu_si512(halves + at));
        more = _mm512_max_epi16(more, _mm512_loadu_si512(halves + at + BLOCK));
    }
    most = _mm512_max_epi16(most, more);
    __m256i folded = _mm256_max_epi16(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    float largest = _mm512_reduce_max_ps(_mm512_cvtph_ps(folded));
    if (largest < GELU_LEAST / LOW * HIGH) largest = GELU_LEAST / LOW * HIGH;
    float scale = largest * (1.0f / HIGH);
    __m512 reciprocal = _mm512_set1_ps(1 / scale);
    for (long at = 0; at < width; at += QUADS, bytes += TILE * QUADS) {
        __m512 numbers[4];
        for (int part = 0; part < 4; part++)
            numbers[part] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(halves + at + part * TILE)));
        store_bytes(bytes, TILE * width, numbers, reciprocal, LOW);
    }
    return scale;
}

/* Sums and the largest of a row are taken in four parts, for one must not wait for the other. */
static inline __m512 joined_sum(const __m512 *four) {
    return _mm512_add_ps(_mm512_add_ps(four[0], four[1]), _mm512_add_ps(four[2], four[3]));
}

/* LayerNorm of hidden (width,), in place. */
static inline void normalise(float *hidden, Norm norm, float epsilon, long width) {
    __m512 sums[4], squares[4];
    for (int part = 0; part < 4; part++) sums[part] = squares[part] = _mm512_setzero_ps();
    for (long at = 0; at < width; at += QUADS)
        for (int part = 0; part < 4; part++)
            sums[part] = _mm512_add_ps(sums[part], _mm512_loadu_ps(hidden + at + part * TILE));
    __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(joined_sum(sums)) / width);
    for (long at = 0; at < width; at += QUADS)
        for (int part = 0; part < 4; part++) {
            __m512 away = _mm512_sub_ps(_mm512_loadu_ps(hidden + at + part * TILE), mean);
            squares[part] = _mm512_fmadd_ps(away, away, squares[part]);
        }
    float variance = _mm512_reduce_add_ps(joined_sum(squares)) / width + epsilon;
    __m512 factor = _mm512_set1_ps(1 / sqrtf(variance));
    for (long at = 0; at < width; at += TILE) {
        __m512 scaled = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(hidden + at), mean), factor);
        scaled = _mm512_fmadd_ps(scaled, _mm512_loadu_ps(norm.weight + at), _mm512_loadu_ps(norm.bias + at));
        _mm512_storeu_ps(hidden + at, scaled);
    }
}

static inline float dot(const float *one, const float *two, long width) {
    __m512 sum = _mm512_setzero_ps();
    for (long at = 0; at < width; at += TILE)
        sum = _mm512_fmadd_ps(_mm512_loadu_ps(one + at), _mm512_loadu_ps(two + at), sum);
    return _mm512_reduce_add_ps(sum);
}
