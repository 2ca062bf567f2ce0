/* The layout of the matrices that the kernel multiplies, and the tile instructions.

   A tile is 16 rows of 64 bytes: 16 × 64 int8, 16 × 32 bf16, or 16 × 16 int32 or fp32. AMX multiplies two tiles with one
   instruction; AVX-512 computes the same from the same memory.

   Left factors, (rows, inputs). Int8: activations are codes of one or two bytes, and of two the upper and the lower byte
   are multiplied separately. Of each 16 tokens first the tiles of all upper bytes, or the only ones, then those of all
   lower bytes:

                 inputs 0-63   64-127          0-63       64-127
                +----------+ +----------+   +----------+ +----------+
       token 0  |          | |          |   |          | |          |
          ...   |  upper   | |  upper   |...|  lower   | |  lower   |...  then tokens 16-31
       token 15 |          | |          |   |          | |          |
                +----------+ +----------+   +----------+ +----------+

   Bf16: rows lie in memory as they are. An instruction reads 32 numbers of 16 rows.

   Right factors, weights of (inputs, outputs). A tile holds 16 outputs; neighbours in a row are the 4 int8 or 2 bf16
   inputs that the instructions multiply and add at once. Int8, with the number of the input in each byte:

                   output 0            output 1                  output 15
              +----+----+----+----+----+----+----+----+     +----+----+----+----+
       row 0  |  0 |  1 |  2 |  3 |  0 |  1 |  2 |  3 | ... |  0 |  1 |  2 |  3 |
       row 1  |  4 |  5 |  6 |  7 |  4 |  5 |  6 |  7 | ... |  4 |  5 |  6 |  7 |
         ...
       row 15 | 60 | 61 | 62 | 63 | 60 | 61 | 62 | 63 | ... | 60 | 61 | 62 | 63 |
              +----+----+----+----+----+----+----+----+     +----+----+----+----+

   then inputs 64-127 of the same outputs, and after all inputs the next 16 outputs. Bf16: two inputs instead of four.

   Sums of an int8 block, 16 tokens × 32 outputs: int32 (bytes, 16, 32), of the upper bytes and of the lower ones. The
   product is 256 · upper + lower, or the only sum. */
#pragma once
#include "kernel.h"
#include <immintrin.h>
#include <string.h>

enum {
    LANES = 16,        /* fp32 or int32 numbers of a vector */
    TILE_ROWS = 16,    /* also the outputs of a tile of weights, and the columns of a tile of sums */
    TILE_INT8 = 64,    /* int8 numbers of a tile's row */
    TILE_BF16 = 32,    /* bf16 numbers of a tile's row */
    BLOCK_OUTPUTS = 32 /* of an int8 block: two tiles side by side */
};

/* AMX's instructions. `tile`, `sums`, `left` and `right` are numbers of tile registers, `stride` is in bytes. A compiler
   without AMX builds the AVX-512 half alone; tests compute the instructions in software (tests/kernel/software_tiles.h). */
#if defined(TMKD_SOFTWARE_TILES)
#define AMX_COMPILED 1
#include "software_tiles.h"
#elif defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AMX_BF16__)
#define AMX_COMPILED 1
#define TILE_CONFIGURE(config) _tile_loadconfig(config)
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(sums) _tile_zero(sums)
#define TILE_LOAD(tile, memory, stride) _tile_loadd(tile, memory, stride)
#define TILE_STORE(tile, memory, stride) _tile_stored(tile, memory, stride)
#define TILE_MULTIPLY_INT8(sums, left, right) _tile_dpbusd(sums, left, right) /* uint8 · int8 */
#define TILE_MULTIPLY_BF16(sums, left, right) _tile_dpbf16ps(sums, left, right)
#else
#define AMX_COMPILED 0
#define TILE_CONFIGURE(config) ((void)(config))
#define TILE_RELEASE() ((void)0)
#define TILE_ZERO(sums) ((void)0)
#define TILE_LOAD(tile, memory, stride) ((void)(memory), (void)(stride))
#define TILE_STORE(tile, memory, stride) ((void)(memory), (void)(stride))
#define TILE_MULTIPLY_INT8(sums, left, right) ((void)0)
#define TILE_MULTIPLY_BF16(sums, left, right) ((void)0)
#endif

/* Compilers do not know that tile loads read memory: no store before this line may be moved behind a load after it. */
#define STORES_BEFORE_TILE_LOADS __asm__ volatile("" ::: "memory")

/* Tile registers: 0 to 3 are sums, 4 and 5 left factors, 6 and 7 right factors. Each is a whole tile. */
static void configure_tiles(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) config.row_bytes[tile] = TILE_INT8, config.rows[tile] = TILE_ROWS;
    STORES_BEFORE_TILE_LOADS;
    TILE_CONFIGURE(&config);
}
