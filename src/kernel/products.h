/* Products of one block or tile: uint8 × int8 → int32 for 16 tokens × 32 outputs, bf16 × bf16 → fp32 for 16 × 16.

   The layouts are drawn in tiles.h. At level 2 (amx) a tile is one instruction; at level 1 AVX-512 computes the same sums,
   those of int8 to the bit. */
#pragma once
#include "tiles.h"

/* Level 1. sums (bytes, 16, 32) = compensation + left (bytes, steps, 16, 64) · right (2, steps, 16, 16, 4), for the upper
   bytes of left, or its only ones, and for the lower ones, which get no compensation (32,). `steps` is inputs / 64. */
static __attribute__((noinline)) void int8_block_avx512(long bytes, const uint8_t *left, const int8_t *right,
                                                        const int32_t *compensation, long steps, int32_t *sums) {
    enum { ROWS = 8 }; /* as many as leave registers for the weights */
    const long half = steps * TILE_ROWS * TILE_INT8;
    for (int first = 0; first < bytes * TILE_ROWS; first += ROWS) {
        const uint8_t *rows = left + first / TILE_ROWS * half + first % TILE_ROWS * TILE_INT8;
        const __mmask16 upper = first < TILE_ROWS ? 0xffff : 0;
        __m512i one[ROWS], two[ROWS];
        for (int row = 0; row < ROWS; row++) {
            one[row] = _mm512_maskz_loadu_epi32(upper, compensation);
            two[row] = _mm512_maskz_loadu_epi32(upper, compensation + LANES);
        }
        for (long quad = 0; quad < steps * TILE_ROWS; quad++) {
            __m512i a = _mm512_load_si512(right + quad * TILE_INT8);
            __m512i b = _mm512_load_si512(right + half + quad * TILE_INT8);
            for (int row = 0; row < ROWS; row++) {
                int32_t four;
                memcpy(&four, rows + quad / TILE_ROWS * TILE_ROWS * TILE_INT8 + row * TILE_INT8 + quad % TILE_ROWS * 4,
                       4);
                one[row] = _mm512_dpbusd_epi32(one[row], _mm512_set1_epi32(four), a);
                two[row] = _mm512_dpbusd_epi32(two[row], _mm512_set1_epi32(four), b);
            }
        }
        for (int row = 0; row < ROWS; row++) {
            _mm512_store_si512(sums + (first + row) * BLOCK_OUTPUTS, one[row]);
            _mm512_store_si512(sums + (first + row) * BLOCK_OUTPUTS + LANES, two[row]);
        }
    }
}

/* A left factor in bf16. Number i of row r is at[r * stride + i / 32 * step + i % 32]. Rows are read up to a multiple of 16
   and the sums of those beyond `rows` are undefined. */
typedef struct {
    const uint16_t *at;
    long rows, stride, step;
} Bf16Rows;

static inline __m512 even_of_pairs(__m512i pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
static inline __m512 odd_of_pairs(__m512i pairs) {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000)));
}

/* sums (16, 16) = left (16, 32 · steps) · right (steps, 16, 16, 2), rows of sums `sums_stride` numbers apart. */
static __attribute__((noinline)) void bf16_tile(int amx, Bf16Rows left, const uint16_t *right, long steps, float *sums,
                                                long sums_stride) {
    enum { ROWS = 8 };
    if (AMX_COMPILED && amx) {
        STORES_BEFORE_TILE_LOADS;
        TILE_ZERO(0);
        for (long step = 0; step < steps; step++) {
            TILE_LOAD(4, left.at + step * left.step, left.stride * 2);
            TILE_LOAD(6, right + step * TILE_ROWS * TILE_BF16, TILE_INT8);
            TILE_MULTIPLY_BF16(0, 4, 6);
        }
        TILE_STORE(0, sums, sums_stride * 4);
        return;
    }
    for (long first = 0; first < left.rows; first += ROWS) {
        __m512 total[ROWS];
        for (int row = 0; row < ROWS; row++) total[row] = _mm512_setzero_ps();
        for (long pair = 0; pair < steps * TILE_ROWS; pair++) {
            __m512i both = _mm512_loadu_si512(right + pair * TILE_BF16);
            __m512 even = even_of_pairs(both), odd = odd_of_pairs(both);
            const uint16_t *at = left.at + first * left.stride + pair / TILE_ROWS * left.step + pair % TILE_ROWS * 2;
            for (int row = 0; row < ROWS; row++) {
                int32_t two;
                memcpy(&two, at + row * left.stride, 4);
                __m512i own = _mm512_set1_epi32(two);
                total[row] = _mm512_fmadd_ps(even_of_pairs(own), even, total[row]);
                total[row] = _mm512_fmadd_ps(odd_of_pairs(own), odd, total[row]);
            }
        }
        for (int row = 0; row < ROWS; row++) _mm512_storeu_ps(sums + (first + row) * sums_stride, total[row]);
    }
}

/* Two vectors of fp32 → one of 32 bf16, rounded to nearest, ties to even. */
static inline __m512i to_bf16(int amx, __m512 first, __m512 second) {
#ifdef __AVX512BF16__
    if (amx) return (__m512i)_mm512_cvtne2ps_pbh(second, first);
#else
    (void)amx;
#endif
    __m512i both[2] = {_mm512_castps_si512(first), _mm512_castps_si512(second)};
    __m256i halves[2];
    for (int part = 0; part < 2; part++) {
        __m512i odd = _mm512_and_si512(_mm512_srli_epi32(both[part], 16), _mm512_set1_epi32(1));
        __m512i rounded = _mm512_add_epi32(both[part], _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        halves[part] = _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(halves[0]), halves[1], 1);
}
