/* AMX's tile instructions in plain C, so that level 2 of the kernel is tested on a processor without them.

   Included by src/kernel/tiles.h where TMKD_SOFTWARE_TILES is defined. Every use of a tile outside TILE_CONFIGURE and
   TILE_RELEASE ends the program, as the processor would. */
#include <stdlib.h>

typedef union {
    uint8_t bytes[16][64];
    int8_t int8[16][64];
    uint16_t bf16[16][32];
    int32_t int32[16][16];
    float fp32[16][16];
} SoftwareTile;

static _Thread_local SoftwareTile software_tiles[8];
static _Thread_local int software_tiles_configured;

static inline SoftwareTile *software_tile(int number) {
    if (!software_tiles_configured) abort();
    return software_tiles + number;
}

static inline void software_configure(const uint8_t *config) {
    if (config[0] != 1) abort(); /* palette */
    for (int tile = 0; tile < 8; tile++)
        if (config[16 + 2 * tile] != 64 || config[17 + 2 * tile] || config[48 + tile] != 16) abort();
    software_tiles_configured = 1;
}

static inline void software_load(SoftwareTile *tile, const void *memory, long stride) {
    for (int row = 0; row < 16; row++) memcpy(tile->bytes[row], (const uint8_t *)memory + row * stride, 64);
}

static inline void software_store(const SoftwareTile *tile, void *memory, long stride) {
    for (int row = 0; row < 16; row++) memcpy((uint8_t *)memory + row * stride, tile->bytes[row], 64);
}

static inline void software_multiply_int8(SoftwareTile *sums, const SoftwareTile *left, const SoftwareTile *right) {
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++)
            for (int input = 0; input < 64; input++)
                sums->int32[row][column] += left->bytes[row][input] * right->int8[input / 4][column * 4 + input % 4];
}

static inline float software_fp32(uint16_t bf16) {
    uint32_t bits = (uint32_t)bf16 << 16;
    float number;
    memcpy(&number, &bits, 4);
    return number;
}

static inline void software_multiply_bf16(SoftwareTile *sums, const SoftwareTile *left, const SoftwareTile *right) {
    for (int row = 0; row < 16; row++)
        for (int column = 0; column < 16; column++)
            for (int input = 0; input < 32; input++)
                sums->fp32[row][column] += software_fp32(left->bf16[row][input]) *
                                           software_fp32(right->bf16[input / 2][column * 2 + input % 2]);
}

#define TILE_CONFIGURE(config) software_configure((const uint8_t *)(config))
#define TILE_RELEASE() (software_tiles_configured = 0)
#define TILE_ZERO(sums) memset(software_tile(sums), 0, sizeof(SoftwareTile))
#define TILE_LOAD(tile, memory, stride) software_load(software_tile(tile), memory, stride)
#define TILE_STORE(tile, memory, stride) software_store(software_tile(tile), memory, stride)
#define TILE_MULTIPLY_INT8(sums, left, right)                                                                          \
    software_multiply_int8(software_tile(sums), software_tile(left), software_tile(right))
#define TILE_MULTIPLY_BF16(sums, left, right)                                                                          \
    software_multiply_bf16(software_tile(sums), software_tile(left), software_tile(right))
