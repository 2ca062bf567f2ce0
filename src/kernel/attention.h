/* Attention of one pair: softmax(query · keyᵀ) · value for each head, in bf16 with fp32 sums. */
#pragma once
#include "rows.h"

typedef struct {
    uint16_t *keys;   /* one head: (blocks of 16 keys, steps of 32 channels, 16 couples of channels, 16 keys, 2) */
    uint16_t *values; /* one head: (tiles of 16 channels, blocks of 32 tokens, 16 couples of tokens, 16 channels, 2) */
    float *scores;    /* (16 queries, tokens up to a multiple of 32) */
    uint16_t *shares; /* the same in bf16: e to the score less the row's largest */
    float *mixed;     /* (16 queries, channels) */
} Scratch;

/* 16 keys × 32 channels, rows `stride` apart → couples of channels by keys: a transposed square of 32-bit couples. */
static inline void transpose_couples(const uint16_t *rows, long stride, uint16_t *tile) {
    __m512i a[16], b[16];
    for (int row = 0; row < 16; row++) a[row] = _mm512_loadu_si512(rows + row * stride);
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
        int to = column % 4 + 8 * 0 + (column / 4) * 4;
        _mm512_storeu_si512(tile + to * 32, _mm512_shuffle_i32x4(b[column], b[column + 8], 0x88));
        _mm512_storeu_si512(tile + (to + 8) * 32, _mm512_shuffle_i32x4(b[column], b[column + 8], 0xdd));
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

/* One row of scores → shares, not yet divided by their sum, which is returned; 0 beyond `tokens`, up to `room`. */
static inline float softmax_row(int amx, float *scores, long tokens, long room, uint16_t *shares) {
    const __m512 nothing = _mm512_set1_ps(-1e30f);
    for (long at = tokens / TILE * TILE; at < room; at += TILE) {
        __mmask16 real = at + TILE <= tokens ? 0xffff : at < tokens ? (1u << (tokens - at)) - 1 : 0;
        _mm512_storeu_ps(scores + at, _mm512_mask_loadu_ps(nothing, real, scores + at));
    }
    __m512 largest = nothing, sum = _mm512_setzero_ps();
    for (long at = 0; at < room; at += TILE) largest = _mm512_max_ps(largest, _mm512_loadu_ps(scores + at));
    __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(largest));
    for (long at = 0; at < room; at += BLOCK) {
        __m512 one = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + at), top));
        __m512 two = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + at + TILE), top));
        sum = _mm512_add_ps(sum, _mm512_add_ps(one, two));
        _mm512_storeu_si512(shares + at, to_bf16(amx, one, two));
    }
    return _mm512_reduce_add_ps(sum);
}

/* query (queries, width), key and value (tokens, width) in bf16, rows `…_stride` numbers apart → out (queries, width).
   Query's rows may be read up to a multiple of 16 of them, and key's too; what is there has no effect. */
static void attend(int amx, long heads, long channels, const uint16_t *query, long query_stride, long queries,
                   const uint16_t *key, const uint16_t *value, long stride, long tokens, Scratch scratch, float *out,
                   long out_stride) {
    long steps = channels / BLOCK, room = (tokens + BLOCK - 1) / BLOCK * BLOCK, blocks = (tokens + TILE - 1) / TILE;
    for (long head = 0; head < heads; head++, query += channels, key += channels, value += channels, out += channels) {
        for (long block = 0; block < blocks; block++)
            for (long step = 0; step < steps; step++)
                transpose_couples(key + block * TILE * stride + step * BLOCK, stride,
                                  scratch.keys + (block * steps + step) * TILE * BLOCK);
        for (long token = 0; token < room; token += 2)
            for (long step = 0; step < steps; step++) {
                const uint16_t *at = value + token * stride + step * BLOCK;
                __m512i none = _mm512_setzero_si512();
                __m512i even = token < tokens ? _mm512_loadu_si512(at) : none;
                __m512i odd = token + 1 < tokens ? _mm512_loadu_si512(at + stride) : none;
                uint16_t *first = scratch.values + (2 * step * room + token) * TILE;
                interleave(even, odd, first, first + room * TILE);
            }
        for (long from = 0; from < queries; from += TILE) {
            for (long block = 0; block < blocks; block++)
                tile_of_bf16(amx, query + from * query_stride, query_stride,
                             scratch.keys + block * steps * TILE * BLOCK, steps, scratch.scores + block * TILE, room);
            float sums[TILE];
            long rows = queries - from < TILE ? queries - from : TILE;
            for (long row = 0; row < rows; row++)
                sums[row] = softmax_row(amx, scratch.scores + row * room, tokens, room, scratch.shares + row * room);
            for (long tile = 0; tile < 2 * steps; tile++)
                tile_of_bf16(amx, scratch.shares, room, scratch.values + tile * room * TILE, room / BLOCK,
                             scratch.mixed + tile * TILE, channels);
            for (long row = 0; row < rows; row++) {
                __m512 whole = _mm512_set1_ps(1 / sums[row]);
                for (long at = 0; at < channels; at += TILE)
                    _mm512_storeu_ps(out + (from + row) * out_stride + at,
                                     _mm512_mul_ps(whole, _mm512_loadu_ps(scratch.mixed + row * channels + at)));
            }
        }
    }
}
