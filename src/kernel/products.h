/* Products of matrices: pairs of bytes × bytes → int32 in blocks of 16 × 32, bf16 × bf16 → fp32 in tiles of 16 × 16.

   On a processor with AMX a tile is one instruction; elsewhere AVX-512 does the same sums, those of bytes to the bit. */
#pragma once
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { TILE = 16, BLOCK = 32, QUADS = 64 /* bytes of a row that one tile product takes in */ };

typedef struct {
    const int8_t *steps;  /* (outputs / 16, inputs / 64, 16, 16, 4): tiles of [quad of inputs][output][input] */
    const float *scales;  /* (outputs,) size of a step */
    const float *bias;    /* (outputs,) */
    const int32_t *none;  /* (outputs,) what a row's sum of upper bytes begins with, to be 0 for inputs of 0 */
} Bytes;

/* Compilers do not know that tile loads read memory: what was stored before must not wait until after them. */
#define STORED __asm__ volatile("" ::: "memory")

/* Tiles 0 to 3 are sums, 4 and 5 left factors, 6 and 7 right ones; each has 16 rows of 64 bytes. */
static void use_tiles(void) {
    struct { uint8_t palette, start, reserved[14]; uint16_t bytes[16]; uint8_t rows[16]; } all = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) all.bytes[tile] = QUADS, all.rows[tile] = TILE;
    STORED;
    _tile_loadconfig(&all);
}

/* sums (2, 16, 32) = none + left (2, steps, 16, 64) · right (2, steps, 16, 16, 4), of left's upper bytes and of its lower
   ones; none (32,) only for the upper. */
static __attribute__((noinline)) void block_of_bytes(const uint8_t *left, const int8_t *right, const int32_t *none,
                                                     long steps, int32_t *sums) {
    const long half = steps * TILE * QUADS;
    for (int first = 0; first < 2 * TILE; first += 8) {
        const uint8_t *rows = left + first / TILE * half + first % TILE * QUADS;
        const __mmask16 upper = first < TILE ? -1 : 0;
        __m512i one[8], two[8];
        for (int row = 0; row < 8; row++) {
            one[row] = _mm512_maskz_loadu_epi32(upper, none);
            two[row] = _mm512_maskz_loadu_epi32(upper, none + TILE);
        }
        for (long quad = 0; quad < steps * TILE; quad++) {
            __m512i a = _mm512_load_si512(right + quad * QUADS), b = _mm512_load_si512(right + half + quad * QUADS);
            for (int row = 0; row < 8; row++) {
                int32_t four;
                memcpy(&four, rows + quad / TILE * TILE * QUADS + row * QUADS + quad % TILE * 4, 4);
                one[row] = _mm512_dpbusd_epi32(one[row], _mm512_set1_epi32(four), a);
                two[row] = _mm512_dpbusd_epi32(two[row], _mm512_set1_epi32(four), b);
            }
        }
        for (int row = 0; row < 8; row++) {
            _mm512_store_si512(sums + (first + row) * BLOCK, one[row]);
            _mm512_store_si512(sums + (first + row) * BLOCK + TILE, two[row]);
        }
    }
}

static inline __m512 low_half(__m512i both) { return _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)); }
static inline __m512 high_half(__m512i both) {
    return _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int)0xffff0000)));
}

/* sums (16, 16) = left (16, 32 · steps) · right (steps, 16 couples, 16 outputs, 2), all but the sums in bf16. Of left
   `rows` are there (the sums of others are nothing), `stride` numbers apart, and a step's numbers `apart` from the next's. */
static __attribute__((noinline)) void tile_of_bf16(int amx, const uint16_t *left, long rows, long stride, long apart,
                                                   const uint16_t *right, long steps, float *sums,
                                                   long sums_stride) {
    if (amx) {
        STORED;
        _tile_zero(0);
        for (long step = 0; step < steps; step++) {
            _tile_loadd(4, left + step * apart, stride * 2);
            _tile_loadd(6, right + step * TILE * BLOCK, QUADS);
            _tile_dpbf16ps(0, 4, 6);
        }
        _tile_stored(0, sums, sums_stride * 4);
        return;
    }
    for (long first = 0; first < rows; first += 8) {
        __m512 total[8];
        for (int row = 0; row < 8; row++) total[row] = _mm512_setzero_ps();
        for (long couple = 0; couple < steps * TILE; couple++) {
            __m512i both = _mm512_loadu_si512(right + couple * BLOCK);
            __m512 even = low_half(both), odd = high_half(both);
            const uint16_t *at = left + first * stride + couple / TILE * apart + couple % TILE * 2;
            for (int row = 0; row < 8; row++) {
                int32_t two;
                memcpy(&two, at + row * stride, 4);
                __m512i pair = _mm512_set1_epi32(two);
                total[row] = _mm512_fmadd_ps(low_half(pair), even, total[row]);
                total[row] = _mm512_fmadd_ps(high_half(pair), odd, total[row]);
            }
        }
        for (int row = 0; row < 8; row++) _mm512_storeu_ps(sums + (first + row) * sums_stride, total[row]);
    }
}

/* Two vectors of fp32 → one of bf16, to the nearest, ties to even. */
static inline __m512i to_bf16(int amx, __m512 first, __m512 second) {
    if (amx) return (__m512i)_mm512_cvtne2ps_pbh(second, first);
    __m512i both[2] = {_mm512_castps_si512(first), _mm512_castps_si512(second)};
    __m256i halves[2];
    for (int part = 0; part < 2; part++) {
        __m512i odd = _mm512_and_si512(_mm512_srli_epi32(both[part], 16), _mm512_set1_epi32(1));
        __m512i up = _mm512_add_epi32(both[part], _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        halves[part] = _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
    }
    return _mm512_inserti64x4(_mm512_castsi256_si512(halves[0]), halves[1], 1);
}
