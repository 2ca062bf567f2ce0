/* Linear layers: int8 ones on quantised rows, with what is done to their sums; bf16 ones on fp32 rows. */
#pragma once
#include "products.h"
#include "rows.h"

/* What an int8 layer does with its outputs, out (rows, outputs). */
typedef struct {
    enum { STORE_BF16, ADD_TO_FP32, STORE_GELU_FP16 } operation;
    void *out;
} Epilogue;

/* The sums of a finished block, (bytes, 16, 32), and its place in the output. */
typedef struct {
    const int32_t *sums;
    long row, column;
} Block;

/* One row of a block: sums, of two bytes 256 · upper + lower as fp32, with scales and bias → the epilogue. */
static inline __attribute__((always_inline)) void finish_row(int amx, Block block, long row, QuantisedRows input,
                                                             Int8Linear layer, Epilogue epilogue) {
    const __m512 row_scale = _mm512_set1_ps(input.scales[block.row + row]);
    const long at = (block.row + row) * layer.outputs + block.column;
    __m512 number[2];
    for (int part = 0; part < 2; part++) {
        const int32_t *upper = block.sums + row * BLOCK_OUTPUTS + part * LANES;
        const int32_t *lower = upper + TILE_ROWS * BLOCK_OUTPUTS;
        const long column = block.column + part * LANES;
        __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(upper));
        if (input.bytes > 1)
            sum = _mm512_fmadd_ps(sum, _mm512_set1_ps(256), _mm512_cvtepi32_ps(_mm512_load_si512(lower)));
        __m512 scale = _mm512_mul_ps(row_scale, _mm512_loadu_ps(layer.scales + column));
        number[part] = _mm512_fmadd_ps(sum, scale, _mm512_loadu_ps(layer.bias + column));
    }
    if (epilogue.operation == STORE_BF16)
        _mm512_storeu_si512((uint16_t *)epilogue.out + at, to_bf16(amx, number[0], number[1]));
    else
        for (int part = 0; part < 2; part++)
            if (epilogue.operation == ADD_TO_FP32) {
                float *to = (float *)epilogue.out + at + part * LANES;
                _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), number[part]));
            } else {
                __m256i halves = _mm512_cvtps_ph(gelu(number[part]), _MM_FROUND_TO_NEAREST_INT);
                _mm256_storeu_si256((__m256i *)((uint16_t *)epilogue.out + at + part * LANES), halves);
            }
}

/* input (rows, layer.inputs) · weights + bias → the epilogue. Rows are computed and written up to a multiple of 16.

   While the tiles multiply one block, the vector units finish the block before and the next columns' weights are fetched
   into the cache. Always inlined: each epilogue, and each number of bytes, is compiled apart. */
static inline __attribute__((always_inline)) void multiply_int8(int amx, QuantisedRows input, long rows,
                                                                Int8Linear layer, Epilogue epilogue) {
    _Alignas(64) int32_t sums[2][2 * TILE_ROWS * BLOCK_OUTPUTS];
    const long inputs = layer.inputs, steps = inputs / TILE_INT8, half = TILE_ROWS * inputs;
    const long rows_per_step = (TILE_ROWS + steps - 1) / steps;
    const long lines_per_step = BLOCK_OUTPUTS / ((rows + TILE_ROWS - 1) / TILE_ROWS) + 1;
    Block before = {NULL, 0, 0};
    for (long column = 0; column < layer.outputs; column += BLOCK_OUTPUTS) {
        const int8_t *right = layer.codes + column * inputs;
        const int32_t *compensation = layer.compensation + column;
        /* As an integer: behind the last columns there is no object to point into. */
        uintptr_t ahead = (uintptr_t)right + BLOCK_OUTPUTS * inputs;
        for (long block = 0; block < rows; block += TILE_ROWS) {
            const uint8_t *left = input.codes + input.bytes * block * inputs;
            int32_t *to = sums[before.sums == sums[0]];
            long row = before.sums ? 0 : TILE_ROWS;
            if (AMX_COMPILED && amx) {
                STORES_BEFORE_TILE_LOADS;
                TILE_LOAD(0, compensation, 0); /* stride 0: the same start values in each row */
                TILE_LOAD(1, compensation + LANES, 0);
                TILE_ZERO(2);
                TILE_ZERO(3);
                for (long step = 0; step < half; step += TILE_ROWS * TILE_INT8) {
                    for (long line = 0; line < lines_per_step; line++, ahead += TILE_INT8)
                        _mm_prefetch((const char *)ahead, _MM_HINT_T1);
                    TILE_LOAD(4, left + step, TILE_INT8);
                    TILE_LOAD(6, right + step, TILE_INT8);
                    TILE_LOAD(7, right + half + step, TILE_INT8);
                    TILE_MULTIPLY_INT8(0, 4, 6);
                    if (input.bytes > 1) TILE_LOAD(5, left + half + step, TILE_INT8);
                    TILE_MULTIPLY_INT8(1, 4, 7);
                    if (input.bytes > 1) {
                        TILE_MULTIPLY_INT8(2, 5, 6);
                        TILE_MULTIPLY_INT8(3, 5, 7);
                    }
                    for (long end = row + rows_per_step < TILE_ROWS ? row + rows_per_step : TILE_ROWS; row < end; row++)
                        finish_row(amx, before, row, input, layer, epilogue);
                }
                TILE_STORE(0, to, BLOCK_OUTPUTS * 4);
                TILE_STORE(1, to + LANES, BLOCK_OUTPUTS * 4);
                if (input.bytes > 1) {
                    TILE_STORE(2, to + TILE_ROWS * BLOCK_OUTPUTS, BLOCK_OUTPUTS * 4);
                    TILE_STORE(3, to + TILE_ROWS * BLOCK_OUTPUTS + LANES, BLOCK_OUTPUTS * 4);
                }
            } else {
                for (; row < TILE_ROWS; row++) finish_row(amx, before, row, input, layer, epilogue);
                int8_block_avx512(input.bytes, left, right, compensation, steps, to);
            }
            before = (Block){to, block, column};
        }
    }
    for (long row = 0; row < TILE_ROWS; row++) finish_row(amx, before, row, input, layer, epilogue);
}

static inline __attribute__((always_inline)) void int8_linear(int amx, QuantisedRows input, long rows, Int8Linear layer,
                                                              Epilogue epilogue) {
    if (input.bytes > 1)
        multiply_int8(amx, (QuantisedRows){input.codes, input.scales, 2}, rows, layer, epilogue);
    else
        multiply_int8(amx, (QuantisedRows){input.codes, input.scales, 1}, rows, layer, epilogue);
}

/* fp32 → bf16, a multiple of 32 numbers. */
static inline void convert_to_bf16(int amx, const float *numbers, long count, uint16_t *out) {
    for (long at = 0; at < count; at += 2 * LANES)
        _mm512_storeu_si512(out + at,
                            to_bf16(amx, _mm512_loadu_ps(numbers + at), _mm512_loadu_ps(numbers + at + LANES)));
}

/* input (rows, layer.inputs) · weight + bias → out (rows, layer.outputs), fp32. `halves` is scratch for the input in bf16,
   with rows up to a multiple of 16. */
static void bf16_linear(int amx, const float *input, long rows, const Bf16Linear *layer, uint16_t *halves, float *out) {
    _Alignas(64) float sums[TILE_ROWS * LANES];
    const long inputs = layer->inputs, outputs = layer->outputs;
    convert_to_bf16(amx, input, rows * inputs, halves);
    for (long column = 0; column < outputs; column += LANES)
        for (long block = 0; block < rows; block += TILE_ROWS) {
            const long some = rows - block < TILE_ROWS ? rows - block : TILE_ROWS;
            const Bf16Rows left = {halves + block * inputs, some, inputs, TILE_BF16};
            bf16_tile(amx, left, layer->weight + column * inputs, inputs / TILE_BF16, sums, LANES);
            for (long row = 0; row < some; row++)
                _mm512_storeu_ps(
                    out + (block + row) * outputs + column,
                    _mm512_add_ps(_mm512_load_ps(sums + row * LANES), _mm512_loadu_ps(layer->bias + column)));
        }
}
