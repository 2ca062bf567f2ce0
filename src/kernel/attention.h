/* Attention of one pair: softmax(query · keyᵀ) · value for each head, in bf16 with fp32 sums. Scores are in powers of 2. */
#pragma once
#include "rows.h"

typedef struct {
    uint16_t *queries; /* 16 of them: (steps of 32 channels, 16 couples of channels, 16 queries, 2) */
    uint16_t *values;  /* one head: (tiles of 16 channels, blocks of 32 tokens, 16 couples of tokens, 16 channels, 2) */
    float *scores;     /* (tokens, 16 queries) */
    uint16_t *shares;  /* 2 to the score less the query's largest: (blocks of 32 tokens, 16 queries, 32 tokens) */
    float *mixed;      /* (16 queries, channels) */
} Scratch;

/* 16 rows of 16 couples → the couples' rows, one after the other: a transposed square of 32-bit numbers. */
static inline void transpose_couples(__m512i *a, uint16_t *tile) {
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
        _mm512_storeu_si512(tile + column * BLOCK, _mm512_shuffle_i32x4(b[column], b[column + 8], 0x88));
        _mm512_storeu_si512(tile + (column + 8) * BLOCK, _mm512_shuffle_i32x4(b[column], b[column + 8], 0xdd));
    }
}

/* Two tokens' 32 channels → couples of tokens by channels, for two tiles. */
static inline void interleave(__m512i even, __m512i odd, uint16_t *first, uint16_t *second) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                         37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    _mm512_storeu_si512(first, _mm512_permutex2var_epi16(even, low, odd));
    _mm512_storeu_si512(second, _mm512_permutex2var_epi16(even, high, odd));
}

/* Scores of 16 queries, (tokens, 16) → shares, not yet divided by their sums, which are returned, (16,). */
static __attribute__((noinline)) __m512 softmax(int amx, const float *scores, long tokens, uint16_t *shares) {
    const __m512i couples = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                             21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512 most[4], sum = _mm512_setzero_ps();
    for (int part = 0; part < 4; part++) most[part] = _mm512_loadu_ps(scores + (part < tokens ? part : 0) * TILE);
    for (long token = 4; token < tokens; token += 4)
        for (int part = 0; part < 4; part++)
            if (token + part < tokens)
                most[part] = _mm512_max_ps(most[part], _mm512_loadu_ps(scores + (token + part) * TILE));
    __m512 largest = _mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3]));
    for (long from = 0; from < tokens; from += BLOCK, shares += TILE * BLOCK) {
        __m512i rows[16];
        for (int row = 0; row < 16; row++) {
            __m512 both[2];
            for (int part = 0; part < 2; part++) {
                long token = from + 2 * row + part;
                both[part] = _mm512_setzero_ps();
                if (token < tokens) {
                    both[part] = power_of_two(_mm512_sub_ps(_mm512_loadu_ps(scores + token * TILE), largest));
                    sum = _mm512_add_ps(sum, both[part]);
                }
            }
            rows[row] = _mm512_permutexvar_epi16(couples, to_bf16(amx, both[0], both[1]));
        }
        transpose_couples(rows, shares);
    }
    return sum;
}

/* query (queries, width), key and value (tokens, width) in bf16, rows `…_stride` numbers apart → out (queries, width).
   Rows may be read up to a multiple of 16 of them; what is there has no effect. */
static __attribute__((noinline)) void attend(int amx, long heads, long channels, const uint16_t *query,
                                             long query_stride, long queries, const uint16_t *key,
                                             const uint16_t *value, long stride, long tokens, Scratch scratch,
                                             float *out, long out_stride) {
    long steps = channels / BLOCK, blocks = (tokens + BLOCK - 1) / BLOCK;
    for (long head = 0; head < heads; head++, query += channels, key += channels, value += channels, out += channels) {
        for (long token = 0; token < blocks * BLOCK; token += 2)
            for (long step = 0; step < steps; step++) {
                const uint16_t *at = value + token * stride + step * BLOCK;
                __m512i none = _mm512_setzero_si512();
                __m512i even = token < tokens ? _mm512_loadu_si512(at) : none;
                __m512i odd = token + 1 < tokens ? _mm512_loadu_si512(at + stride) : none;
                uint16_t *first = scratch.values + (2 * step * blocks * BLOCK + token) * TILE;
                interleave(even, odd, first, first + blocks * BLOCK * TILE);
            }
        for (long from = 0; from < queries; from += TILE) {
            long rows = queries - from < TILE ? queries - from : TILE;
            for (long step = 0; step < steps; step++) {
                __m512i own[16];
                for (int row = 0; row < 16; row++)
                    own[row] = _mm512_loadu_si512(query + (from + row) * query_stride + step * BLOCK);
                transpose_couples(own, scratch.queries + step * TILE * BLOCK);
            }
            for (long token = 0; token < tokens; token += TILE)
                tile_of_bf16(amx, key + token * stride, TILE, stride, BLOCK, scratch.queries, steps,
                             scratch.scores + token * TILE, TILE);
            float wholes[TILE];
            _mm512_storeu_ps(wholes, softmax(amx, scratch.scores, tokens, scratch.shares));
            for (long tile = 0; tile < 2 * steps; tile++)
                tile_of_bf16(amx, scratch.shares, rows, BLOCK, TILE * BLOCK,
                             scratch.values + tile * blocks * BLOCK * TILE, blocks, scratch.mixed + tile * TILE, channels);
            for (long row = 0; row < rows; row++) {
                __m512 part = _mm512_set1_ps(1 / wholes[row]);
                for (long at = 0; at < channels; at += TILE)
                    _mm512_storeu_ps(out + (from + row) * out_stride + at,
                                     _mm512_mul_ps(part, _mm512_loadu_ps(scratch.mixed + row * channels + at)));
            }
        }
    }
}
