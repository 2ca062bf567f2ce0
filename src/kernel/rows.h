/* Operations on rows of activations between two products: LayerNorm, Hadamard rotation, quantisation to codes of one or
   two bytes. */
#pragma once
#include "elementwise.h"
#include "tiles.h"
#include <math.h>

/* Zero points and ranges of the codes, in units of the upper byte. Numbers of both signs are ZERO_POINT ± the largest
   magnitude of an int8 or int16. GELU's outputs, which are never below −0.17, go from GELU_ZERO_POINT up to the largest
   code. The int8 graph's codes are those of one byte. */
enum { ZERO_POINT = 128, GELU_ZERO_POINT = 16 };
#define GELU_MINIMUM 0.17f

enum { ROWS_AT_ONCE = 4 /* rows whose sums are independent, so that no instruction waits for the one before */ };

/* Rows as codes in tiles (tiles.h) with a scale each: number = (code − zero point) · scale. */
typedef struct {
    uint8_t *codes; /* (rows / 16, bytes, width / 64, 16, 64) */
    float *scales;  /* (rows,) */
    int64_t bytes;  /* of a code, 1 or 2 */
} QuantisedRows;

/* The codes of the rows from `row` on, a multiple of 16, or where any other row begins among the tiles. */
static inline uint8_t *tiled_row(QuantisedRows rows, long row, long width) {
    return rows.codes + row / TILE_ROWS * rows.bytes * TILE_ROWS * width + row % TILE_ROWS * TILE_INT8;
}

/* 64 numbers → codes: those of one byte, or of two the upper bytes, to `upper`, the lower bytes `half` bytes further. */
static inline void store_codes(long bytes, uint8_t *upper, long half, const __m512 *numbers, __m512 reciprocal,
                               int zero_point) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512 zero = _mm512_set1_ps((float)(bytes > 1 ? zero_point * 256 : zero_point));
    __m512i codes[4];
    for (int part = 0; part < 4; part++)
        codes[part] = _mm512_cvtps_epi32(_mm512_fmadd_ps(numbers[part], reciprocal, zero));
    __m512i first = _mm512_packus_epi32(codes[0], codes[1]), second = _mm512_packus_epi32(codes[2], codes[3]);
    if (bytes == 1) {
        _mm512_storeu_si512(upper, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second)));
        return;
    }
    __m512i high = _mm512_packus_epi16(_mm512_srli_epi16(first, 8), _mm512_srli_epi16(second, 8));
    __m512i mask = _mm512_set1_epi16(255);
    __m512i low = _mm512_packus_epi16(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask));
    /* The pack instructions work within 128 bits: `order` puts the groups of four back. */
    _mm512_storeu_si512(upper, _mm512_permutexvar_epi32(order, high));
    _mm512_storeu_si512(upper + half, _mm512_permutexvar_epi32(order, low));
}

/* Hadamard rotation of 16 neighbours without the norm of the matrix: times HADAMARD_NORM it is orthonormal. */
static inline __m512 hadamard_rotate(__m512 x) {
    const __m512 one = _mm512_set1_ps(1), minus = _mm512_set1_ps(-1);
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xaaaa, minus), _mm512_permute_ps(x, 0xb1));
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xcccc, minus), _mm512_permute_ps(x, 0x4e));
    x = _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xf0f0, minus), _mm512_shuffle_f32x4(x, x, 0xb1));
    return _mm512_fmadd_ps(x, _mm512_mask_mov_ps(one, 0xff00, minus), _mm512_shuffle_f32x4(x, x, 0x4e));
}
#define HADAMARD_NORM 0.25f

/* A row's sum or maximum is kept in four vectors, so that additions do not wait for each other. */
static inline __m512 sum_of_four(const __m512 *four) {
    return _mm512_add_ps(_mm512_add_ps(four[0], four[1]), _mm512_add_ps(four[2], four[3]));
}

static inline float max_of_four(const __m512 *four) {
    return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(four[0], four[1]), _mm512_max_ps(four[2], four[3])));
}

/* The scale that maps a magnitude to the largest of an int8 or int16. */
static inline float scale_for(long bytes, float largest) {
    return (largest < 1e-6f ? 1e-6f : largest) * (bytes > 1 ? 1.0f / INT16_MAX : 1.0f / INT8_MAX);
}

/* The scale of a row (width,). */
static inline float row_scale(long bytes, const float *row, long width) {
    __m512 largest[4];
    for (int part = 0; part < 4; part++) largest[part] = _mm512_setzero_ps();
    for (long at = 0; at < width; at += 4 * LANES)
        for (int part = 0; part < 4; part++)
            largest[part] = _mm512_max_ps(largest[part], _mm512_abs_ps(_mm512_loadu_ps(row + at + part * LANES)));
    return scale_for(bytes, max_of_four(largest));
}

/* A row (width,) → codes about ZERO_POINT, from `codes` on among the tiles. */
static inline void quantise_row(long bytes, const float *row, float scale, long width, uint8_t *codes) {
    __m512 reciprocal = _mm512_set1_ps(1 / scale);
    for (long at = 0; at < width; at += TILE_INT8, codes += TILE_ROWS * TILE_INT8) {
        __m512 numbers[4];
        for (int part = 0; part < 4; part++) numbers[part] = _mm512_loadu_ps(row + at + part * LANES);
        store_codes(bytes, codes, TILE_ROWS * width, numbers, reciprocal, ZERO_POINT);
    }
}

/* The scale of a row of GELU's outputs, fp16 (width,). */
static inline float gelu_row_scale(long bytes, const uint16_t *row, long width) {
    /* As int16, the bits of fp16 numbers from 0 up are in the numbers' order, and those of negative ones are below. */
    __m512i one = _mm512_setzero_si512(), two = one;
    for (long at = 0; at < width; at += 64) {
        one = _mm512_max_epi16(one, _mm512_loadu_si512(row + at));
        two = _mm512_max_epi16(two, _mm512_loadu_si512(row + at + 32));
    }
    one = _mm512_max_epi16(one, two);
    __m256i folded = _mm256_max_epi16(_mm512_castsi512_si256(one), _mm512_extracti64x4_epi64(one, 1));
    const int unit = bytes > 1 ? 256 : 1, zero_point = GELU_ZERO_POINT * unit, levels = 256 * unit - 1 - zero_point;
    const float smallest = GELU_MINIMUM / zero_point * levels; /* with which −0.17 is code 0 */
    float largest = _mm512_reduce_max_ps(_mm512_cvtph_ps(folded));
    return (largest < smallest ? smallest : largest) * (1.0f / levels);
}

/* A row of GELU's outputs, fp16 (width,) → codes from GELU_ZERO_POINT on. */
static inline void quantise_gelu_row(long bytes, const uint16_t *row, float scale, long width, uint8_t *codes) {
    __m512 reciprocal = _mm512_set1_ps(1 / scale);
    for (long at = 0; at < width; at += TILE_INT8, codes += TILE_ROWS * TILE_INT8) {
        __m512 numbers[4];
        for (int part = 0; part < 4; part++)
            numbers[part] = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(row + at + part * LANES)));
        store_codes(bytes, codes, TILE_ROWS * width, numbers, reciprocal, GELU_ZERO_POINT);
    }
}

/* A row's standardisation in LayerNorm: x · factor + shift has mean 0 and variance 1. */
typedef struct {
    __m512 factor, shift;
} Standardisation;

static inline Standardisation standardise(const float *row, float epsilon, long width) {
    __m512 sums[4], squares[4];
    for (int part = 0; part < 4; part++) sums[part] = squares[part] = _mm512_setzero_ps();
    for (long at = 0; at < width; at += 4 * LANES)
        for (int part = 0; part < 4; part++)
            sums[part] = _mm512_add_ps(sums[part], _mm512_loadu_ps(row + at + part * LANES));
    float mean = _mm512_reduce_add_ps(sum_of_four(sums)) / width;
    for (long at = 0; at < width; at += 4 * LANES)
        for (int part = 0; part < 4; part++) {
            __m512 away = _mm512_sub_ps(_mm512_loadu_ps(row + at + part * LANES), _mm512_set1_ps(mean));
            squares[part] = _mm512_fmadd_ps(away, away, squares[part]);
        }
    float factor = 1 / sqrtf(_mm512_reduce_add_ps(sum_of_four(squares)) / width + epsilon);
    return (Standardisation){_mm512_set1_ps(factor), _mm512_set1_ps(-mean * factor)};
}

/* LayerNorm of 16 numbers of a row. */
static inline __m512 normalised(Standardisation by, const float *row, LayerNorm norm, long at) {
    __m512 number = _mm512_fmadd_ps(_mm512_loadu_ps(row + at), by.factor, by.shift);
    return _mm512_fmadd_ps(number, _mm512_loadu_ps(norm.weight + at), _mm512_loadu_ps(norm.bias + at));
}

/* LayerNorm of a row (width,), in place. */
static inline void normalise_row(float *row, LayerNorm norm, float epsilon, long width) {
    Standardisation by = standardise(row, epsilon, width);
    for (long at = 0; at < width; at += LANES) _mm512_storeu_ps(row + at, normalised(by, row, norm, at));
}

/* What normalise_and_quantise reads and writes. */
typedef struct {
    float *hidden; /* (rows, width), normalised in place */
    long width;
    LayerNorm norm;
    float epsilon;
    float *rotated;         /* (ROWS_AT_ONCE, width), scratch */
    QuantisedRows out;      /* of the rotated rows */
    const float *up_weight; /* (OUTLIERS, width), or NULL */
    float *up_product;      /* (rows, OUTLIERS): normalised rows · up_weightᵀ */
} NormTask;

/* LayerNorm of at most ROWS_AT_ONCE rows from `first` on; then their Hadamard rotation, quantised; and with up_weight the
   outlier neurons' products. Always inlined: calls with and without up_weight are compiled apart. */
static inline __attribute__((always_inline)) void normalise_and_quantise(NormTask task, long first, long rows) {
    const long width = task.width;
    Standardisation by[ROWS_AT_ONCE];
    float *hidden = task.hidden + first * width, *scales = task.out.scales + first;
    for (long row = 0; row < rows; row++) by[row] = standardise(hidden + row * width, task.epsilon, width);
    for (long row = 0; row < rows; row++) {
        float *own = hidden + row * width;
        __m512 largest[4], products[OUTLIERS];
        for (int part = 0; part < 4; part++) largest[part] = _mm512_setzero_ps();
        for (int neuron = 0; neuron < OUTLIERS; neuron++) products[neuron] = _mm512_setzero_ps();
        for (long from = 0; from < width; from += 4 * LANES)
            for (int part = 0; part < 4; part++) {
                const long at = from + part * LANES;
                __m512 number = normalised(by[row], own, task.norm, at);
                _mm512_storeu_ps(own + at, number);
                if (task.up_weight)
                    for (int neuron = 0; neuron < OUTLIERS; neuron++)
                        products[neuron] = _mm512_fmadd_ps(
                            number, _mm512_loadu_ps(task.up_weight + neuron * width + at), products[neuron]);
                _mm512_storeu_ps(task.rotated + row * width + at, number = hadamard_rotate(number));
                largest[part] = _mm512_max_ps(largest[part], _mm512_abs_ps(number));
            }
        scales[row] = scale_for(task.out.bytes, max_of_four(largest));
        if (task.up_weight)
            for (int neuron = 0; neuron < OUTLIERS; neuron++)
                task.up_product[(first + row) * OUTLIERS + neuron] = _mm512_reduce_add_ps(products[neuron]);
    }
    for (long row = 0; row < rows; row++) {
        quantise_row(task.out.bytes, task.rotated + row * width, scales[row], width,
                     tiled_row(task.out, first + row, width));
        scales[row] *= HADAMARD_NORM;
    }
}

/* Add the fp32 contribution of the outlier neurons, which are not quantised, to a token's hidden state (width,).
   up_product (OUTLIERS,) is from normalise_and_quantise. */
static inline void add_outliers(Outliers outliers, const float *up_product, float *hidden, long width) {
    enum { ALL = (1 << OUTLIERS) - 1 };
    __m512 product = _mm512_maskz_loadu_ps(ALL, up_product), bias = _mm512_maskz_loadu_ps(ALL, outliers.up_bias);
    float activation[LANES];
    _mm512_storeu_ps(activation, gelu(_mm512_add_ps(product, bias)));
    for (long at = 0; at < width; at += LANES) {
        __m512 sum = _mm512_loadu_ps(hidden + at);
        for (int neuron = 0; neuron < OUTLIERS; neuron++)
            sum = _mm512_fmadd_ps(_mm512_set1_ps(activation[neuron]),
                                  _mm512_loadu_ps(outliers.down_weight + neuron * width + at), sum);
        _mm512_storeu_ps(hidden + at, sum);
    }
}
