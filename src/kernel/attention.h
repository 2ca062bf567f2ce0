/* Attention of one pair: softmax(query · keyᵀ) · value for each head, bf16 products with fp32 sums. The softmax is of 2^x:
   log2(e) is in the query's weights. */
#pragma once
#include "elementwise.h"
#include "products.h"

/* Rows hold all heads' channels, head after head. head_width is a multiple of 32. */
typedef struct {
    const uint16_t *query;       /* (queries, heads · head_width) bf16, rows query_stride numbers apart */
    const uint16_t *key, *value; /* (tokens, heads · head_width) bf16, rows stride numbers apart */
    long query_stride, stride;
    long queries, tokens, heads, head_width;
} AttentionInput;

/* Scratch memory. `blocks` are tokens / 32, rounded up. */
typedef struct {
    uint16_t *queries; /* 16 of one head, a right factor: (head_width / 32, 16, 16, 2) */
    uint16_t *values;  /* of one head, a right factor: (head_width / 16, blocks, 16, 16, 2) */
    float *scores;     /* (tokens up to a multiple of 16, 16 queries) */
    uint16_t *weights; /* softmax weights, a left factor in bf16: (blocks, 16 queries, 32 tokens) */
    float *context;    /* (16 queries, head_width) */
} AttentionScratch;

/* 16 rows of 16 pairs of bf16 → the transpose: row i has pair i of each of the 16 rows. Overwrites `a`. */
static inline void transpose_pairs(__m512i *a, uint16_t *tile) {
    __m512i b[16];
    for (int row = 0; row < 16; row += 2) {
        b[row] = _mm512_unpacklo_epi32(a[row], a[row + 1]);
        b[row + 1] = _mm512_unpackhi_epi32(a[row], a[row + 1]);
    }
    for (int row = 0; row < 16; row += 4)
        for (int part = 0; part < 2; part++) {
            a[row + 2 * part] = _mm512_unpacklo_epi64(b[row + part], b[row + 2 + part]);
            a[row + 2 * part + 1] = _mm512_unpackhi_epi64(b[row + part], b[row + 2 + part]);
        }
    for (int column = 0; column < 4; column++)
        for (int half = 0; half < 2; half++) {
            b[column + 8 * half] = _mm512_shuffle_i32x4(a[8 * half + column], a[8 * half + 4 + column], 0x88);
            b[column + 4 + 8 * half] = _mm512_shuffle_i32x4(a[8 * half + column], a[8 * half + 4 + column], 0xdd);
        }
    for (int column = 0; column < 8; column++) {
        _mm512_storeu_si512(tile + column * TILE_BF16, _mm512_shuffle_i32x4(b[column], b[column + 8], 0x88));
        _mm512_storeu_si512(tile + (column + 8) * TILE_BF16, _mm512_shuffle_i32x4(b[column], b[column + 8], 0xdd));
    }
}

/* 32 channels of two tokens → pairs of tokens: channels 0-15 to `first`, 16-31 to `second`. */
static inline void interleave(__m512i even, __m512i odd, uint16_t *first, uint16_t *second) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    _mm512_storeu_si512(first, _mm512_permutex2var_epi16(even, low, odd));
    _mm512_storeu_si512(second, _mm512_permutex2var_epi16(even, high, odd));
}

/* Scores (tokens, 16 queries) → softmax weights before division: 2^(score − the query's largest) as bf16, 0 for missing
   tokens of the last block. Returns their sums, (16,), before rounding. */
static __attribute__((noinline)) __m512 softmax_weights(int amx, const float *scores, long tokens, uint16_t *weights) {
    const __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512 most[4], sum = _mm512_setzero_ps();
    for (int part = 0; part < 4; part++) most[part] = _mm512_loadu_ps(scores + (part < tokens ? part : 0) * LANES);
    for (long token = 4; token < tokens; token += 4)
        for (int part = 0; part < 4; part++)
            if (token + part < tokens)
                most[part] = _mm512_max_ps(most[part], _mm512_loadu_ps(scores + (token + part) * LANES));
    __m512 largest = _mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3]));
    for (long from = 0; from < tokens; from += TILE_BF16, weights += TILE_ROWS * TILE_BF16) {
        __m512i rows[16];
        for (int row = 0; row < 16; row++) {
            __m512 both[2];
            for (int part = 0; part < 2; part++) {
                long token = from + 2 * row + part;
                both[part] = _mm512_setzero_ps();
                if (token < tokens) {
                    both[part] = power_of_two(_mm512_sub_ps(_mm512_loadu_ps(scores + token * LANES), largest));
                    sum = _mm512_add_ps(sum, both[part]);
                }
            }
            rows[row] = _mm512_permutexvar_epi16(pairs, to_bf16(amx, both[0], both[1]));
        }
        transpose_pairs(rows, weights);
    }
    return sum;
}

/* One head's values as a right factor, with zeros for the missing tokens of the last block. */
static inline void pack_values(const uint16_t *value, long stride, long tokens, long head_width, uint16_t *packed) {
    const long blocks = (tokens + TILE_BF16 - 1) / TILE_BF16, tile = blocks * TILE_ROWS * TILE_BF16;
    for (long token = 0; token < blocks * TILE_BF16; token += 2)
        for (long channel = 0; channel < head_width; channel += TILE_BF16) {
            const uint16_t *at = value + token * stride + channel;
            __m512i none = _mm512_setzero_si512();
            __m512i even = token < tokens ? _mm512_loadu_si512(at) : none;
            __m512i odd = token + 1 < tokens ? _mm512_loadu_si512(at + stride) : none;
            uint16_t *first = packed + channel / LANES * tile + token * LANES;
            interleave(even, odd, first, first + tile);
        }
}

/* out (queries, heads · head_width) fp32. Rows of query and key are read up to a multiple of 16; those beyond the last do
   not affect out. */
static __attribute__((noinline)) void attention(int amx, const AttentionInput *in, const AttentionScratch *scratch,
                                                float *out) {
    const long width = in->head_width, steps = width / TILE_BF16, blocks = (in->tokens + TILE_BF16 - 1) / TILE_BF16;
    for (long head = 0; head < in->heads; head++) {
        const uint16_t *query = in->query + head * width, *key = in->key + head * width;
        pack_values(in->value + head * width, in->stride, in->tokens, width, scratch->values);
        for (long from = 0; from < in->queries; from += TILE_ROWS) {
            const long rows = in->queries - from < TILE_ROWS ? in->queries - from : TILE_ROWS;
            for (long step = 0; step < steps; step++) {
                __m512i own[TILE_ROWS];
                for (int row = 0; row < TILE_ROWS; row++)
                    own[row] = _mm512_loadu_si512(query + (from + row) * in->query_stride + step * TILE_BF16);
                transpose_pairs(own, scratch->queries + step * TILE_ROWS * TILE_BF16);
            }
            for (long token = 0; token < in->tokens; token += TILE_ROWS) {
                const Bf16Rows keys = {key + token * in->stride, TILE_ROWS, in->stride, TILE_BF16};
                bf16_tile(amx, keys, scratch->queries, steps, scratch->scores + token * LANES, LANES);
            }
            float sums[TILE_ROWS];
            _mm512_storeu_ps(sums, softmax_weights(amx, scratch->scores, in->tokens, scratch->weights));
            const Bf16Rows weights = {scratch->weights, rows, TILE_BF16, TILE_ROWS * TILE_BF16};
            for (long tile = 0; tile < 2 * steps; tile++)
                bf16_tile(amx, weights, scratch->values + tile * blocks * TILE_ROWS * TILE_BF16, blocks,
                          scratch->context + tile * LANES, width);
            for (long row = 0; row < rows; row++) {
                const __m512 reciprocal = _mm512_set1_ps(1 / sums[row]);
                const float *context = scratch->context + row * width;
                float *to = out + (from + row) * in->heads * width + head * width;
                for (long at = 0; at < width; at += LANES)
                    _mm512_storeu_ps(to + at, _mm512_mul_ps(reciprocal, _mm512_loadu_ps(context + at)));
            }
        }
    }
}
