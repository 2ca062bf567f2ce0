/* What is done with one token's numbers between two products: norms, Gelu, exponentials, and turning them into bytes. */
#pragma once
#include "products.h"

enum { LEVELS = 127, ZERO = 128, LOW = 16, HIGH = 255 - LOW, LOUD = 4 };
#define GELU_LEAST 0.17f

typedef struct { const float *weight, *bias; } Norm;

/* x · Φ(x), to 2e-5 within ±4.25, where a polynomial in x² gives (Φ(x) − ½) / x; beyond it Φ is taken as 0 or 1. */
static inline __m512 gelu(__m512 x) {
    static const float terms[] = {-4.51530731e-09f, 1.9861602e-07f,  -5.14751617e-06f, 8.84891658e-05f,
                                  -0.00107907813f,  0.00971877927f, -0.0661902817f,   0.398819219f};
    const __m512 end = _mm512_set1_ps(4.25f);
    __m512 within = _mm512_max_ps(_mm512_min_ps(x, end), _mm512_sub_ps(_mm512_setzero_ps(), end));
    __m512 square = _mm512_mul_ps(within, within), sum = _mm512_set1_ps(4.54707715e-11f);
    for (int term = 0; term < 8; term++) sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(terms[term]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(within, sum, _mm512_set1_ps(0.5f)));
}

/* e^x, to 3e-7 of it. */
static inline __m512 exponential(__m512 x) {
    static const float terms[] = {0.00967081523f, 0.0555034054f, 0.240222109f, 0.6931472f, 1.00000005f};
    __m512 power = _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f));
    __m512 whole = _mm512_roundscale_ps(power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m512 part = _mm512_sub_ps(power, whole), sum = _mm512_set1_ps(0.00133953408f);
    for (int term = 0; term < 5; term++) sum = _mm512_fmadd_ps(sum, part, _mm512_set1_ps(terms[term]));
    return _mm512_scalef_ps(sum, whole);
}

static inline __m512 hyperbolic_tangent(__m512 x) {
    const __m512 one = _mm512_set1_ps(1), two = _mm512_set1_ps(2);
    return _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(one, exponential(_mm512_mul_ps(two, x)))));
}

/* 64 numbers → bytes about `zero`: one row of a tile. */
static inline void store_bytes(uint8_t *bytes, const __m512 *numbers, __m512 reciprocal, int zero) {
    __m128i quarters[4];
    for (int part = 0; part < 4; part++) {
        __m512i steps = _mm512_cvtps_epi32(_mm512_mul_ps(numbers[part], reciprocal));
        steps = _mm512_max_epi32(_mm512_add_epi32(steps, _mm512_set1_epi32(zero)), _mm512_setzero_si512());
        quarters[part] = _mm512_cvtusepi32_epi8(steps);
    }
    __m256i low = _mm256_set_m128i(quarters[1], quarters[0]), high = _mm256_set_m128i(quarters[3], quarters[2]);
    _mm512_storeu_si512(bytes, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

/* Where a row of so many numbers begins among tiles (rows / 16, width / 64, 16, 64); its next 64 are a tile further. */
static inline uint8_t *tile_row(uint8_t *bytes, long row, long width) {
    return bytes + row / TILE * TILE * width + row % TILE * QUADS;
}

/* numbers (width,), eased → bytes about ZERO in tiles; returns the size of a step. */
static inline float row_to_bytes(const float *numbers, const float *ease, long width, uint8_t *bytes) {
    __m512 largest = _mm512_set1_ps(1e-6f);
    for (long at = 0; at < width; at += TILE) {
        __m512 eased = _mm512_loadu_ps(numbers + at);
        if (ease) eased = _mm512_mul_ps(eased, _mm512_loadu_ps(ease + at));
        largest = _mm512_max_ps(largest, _mm512_abs_ps(eased));
    }
    float scale = _mm512_reduce_max_ps(largest) * (1.0f / LEVELS);
    __m512 reciprocal = _mm512_set1_ps(1 / scale);
    for (long at = 0; at < width; at += QUADS, bytes += TILE * QUADS) {
        __m512 eased[4];
        for (int part = 0; part < 4; part++) {
            eased[part] = _mm512_loadu_ps(numbers + at + part * TILE);
            if (ease) eased[part] = _mm512_mul_ps(eased[part], _mm512_loadu_ps(ease + at + part * TILE));
        }
        store_bytes(bytes, eased, reciprocal, ZERO);
    }
    return scale;
}

/* Gelu's outputs in fp16 (width,) → bytes about LOW in tiles; returns the size of a step. */
static inline float gelu_to_bytes(const uint16_t *halves, long width, uint8_t *bytes) {
    /* Positive halves are in the order of their bits, and negative ones below them. */
    __m512i most = _mm512_setzero_si512();
    for (long at = 0; at < width; at += BLOCK) most = _mm512_max_epi16(most, _mm512_loadu_si512(halves + at));
    __m256i folded = _mm256_max_epi16(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    float largest = _mm512_reduce_max_ps(_mm512_cvtph_ps(folded));
    if (largest < GELU_LEAST / LOW * HIGH) largest = GELU_LEAST / LOW * HIGH;
    float scale = largest * (1.0f / HIGH);
    __m512 reciprocal = _mm512_set1_ps(1 / scale);
    for (long at = 0; at < width; at += QUADS, bytes += TILE * QUADS) {
        __m512 numbers[4];
        for (int part = 0; part < 4; part++)
            numbers[part] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(halves + at + part * TILE)));
        store_bytes(bytes, numbers, reciprocal, LOW);
    }
    return scale;
}

/* LayerNorm of hidden (width,), in place. */
static inline void normalise(float *hidden, Norm norm, float epsilon, long width) {
    __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
    for (long at = 0; at < width; at += TILE) sum = _mm512_add_ps(sum, _mm512_loadu_ps(hidden + at));
    __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / width);
    for (long at = 0; at < width; at += TILE) {
        __m512 away = _mm512_sub_ps(_mm512_loadu_ps(hidden + at), mean);
        squares = _mm512_fmadd_ps(away, away, squares);
    }
    __m512 variance = _mm512_set1_ps(_mm512_reduce_add_ps(squares) / width + epsilon);
    __m512 factor = _mm512_div_ps(_mm512_set1_ps(1), _mm512_sqrt_ps(variance));
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
