/* A BERT in bytes, from token ids to the products of its headers: what the bundle's int8 graph says, in one pass.

   Weights are bytes as there; what they are multiplied with has two bytes a number, so none of it is lost.

   Tokens of several pairs lie one after the other, without padding; every sum is over one token or one pair, in an order
   that depends on nothing else, so a pair's numbers are the same to the bit whatever stands beside it.
   Between two products nothing leaves the core's cache: sums become numbers, numbers the next product's bytes.
   Needs AVX-512 with VNNI; AMX makes the products faster. */
#include "attention.h"
#include <sys/syscall.h>
#include <unistd.h>

enum { ROWS = 512 /* tokens that attend together */, PANEL = 128 /* rows between two attentions */, AHEAD = 4 /* words */, ALL_LOUD = (1 << LOUD) - 1 };

typedef struct {
    const uint16_t *weight; /* bf16 (outputs / 16, inputs / 32, 16 couples, 16, 2) */
    const float *bias;
} Fine;

typedef struct {
    Bytes joined; /* query, key, value; of the last layer key and value */
    Bytes mixed, inner, outer;
    Norm attended, fed;
    const float *loud_weight, *loud_bias, *loud_onward; /* (4, width), (4,), (4, width) */
} Layer;

typedef struct {
    Fine query, mixed, inner, outer, pooler, headers; /* pooler.weight is NULL where there is none */
} First;

typedef struct {
    int64_t layers, width, heads, neurons, outputs; /* of the last layer only joined, attended and fed are used */
    float epsilon;
    const int8_t *words;
    const float *word_scales, *positions, *types;
    Norm embedded;
    const Layer *layer;
    First first;
} Model;

typedef struct {
    float *hidden, *mixed, *row, *scales, *loud, *first, *one, *two, *wide;
    uint16_t *projected, *halves, *query;
    uint8_t *bytes, *some, *inner;
    Scratch attention;
} Room;

/* 2: AMX; 1: AVX-512 with VNNI; 0: neither. */
int tmkd_level(void) {
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("f16c")))
        return 0;
    unsigned a = 7, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    int tiles = (d >> 22 & 1) && (d >> 24 & 1) && (d >> 25 & 1);
    /* The system lends a process the tiles' registers only when asked. */
    return tiles && __builtin_cpu_supports("avx512bf16") && !syscall(SYS_arch_prctl, 0x1023, 18) ? 2 : 1;
}

static char *take(char **from, long bytes) {
    char *here = *from;
    *from += (bytes + 63) / 64 * 64;
    return here;
}

/* Lays out the work space from an address that is a multiple of 64; returns where it ends. */
static char *lay_out(const Model *m, long pairs, long longest, char *at, Room *room) {
    long rows = (longest > ROWS ? longest : ROWS) + 2 * BLOCK, few = pairs + TILE, tokens = longest + BLOCK;
    long wide = m->neurons > m->width ? m->neurons : m->width, channels = m->width / m->heads;
    if (m->outputs > wide) wide = m->outputs;
    room->hidden = (float *)take(&at, rows * m->width * 4);
    room->mixed = (float *)take(&at, rows * m->width * 4);
    room->row = (float *)take(&at, FEW * m->width * 4);
    room->scales = (float *)take(&at, rows * 4);
    room->loud = (float *)take(&at, PANEL * LOUD * 4);
    room->projected = (uint16_t *)take(&at, rows * 3 * m->width * 2);
    room->halves = (uint16_t *)take(&at, (few > PANEL ? few : PANEL) * wide * 2);
    room->bytes = (uint8_t *)take(&at, rows * m->width * 2);
    room->some = (uint8_t *)take(&at, PANEL * m->width * 2);
    room->inner = (uint8_t *)take(&at, PANEL * m->neurons * 2);
    room->first = (float *)take(&at, few * m->width * 4);
    room->one = (float *)take(&at, few * m->width * 4);
    room->two = (float *)take(&at, few * m->width * 4);
    room->wide = (float *)take(&at, few * wide * 4);
    room->query = (uint16_t *)take(&at, few * m->width * 2);
    room->attention.queries = (uint16_t *)take(&at, TILE * channels * 2);
    room->attention.values = (uint16_t *)take(&at, tokens * channels * 2);
    room->attention.scores = (float *)take(&at, TILE * tokens * 4);
    room->attention.shares = (uint16_t *)take(&at, TILE * tokens * 2);
    room->attention.mixed = (float *)take(&at, TILE * channels * 4);
    return at;
}

/* Bytes of work space for so many pairs of at most so many tokens. */
long tmkd_work_space(const Model *m, long pairs, long longest) {
    Room room;
    return (long)(lay_out(m, pairs, longest, (char *)64, &room) - (char *)0);
}

enum Then { TO_BF16, ADDED, TO_GELU };

/* A block's sums, (2, 16, 32), and where their numbers belong. */
typedef struct {
    const int32_t *sums;
    long row, column;
} Block;

/* One row of a block: sums → numbers with bias, as bf16, added to fp32, or Gelu's as fp16. */
static inline __attribute__((always_inline)) void end_row(int amx, Block block, long row, const float *left_scales,
                                                          Bytes layer, long outputs, enum Then then, void *out) {
    __m512 scale = _mm512_set1_ps(left_scales[block.row + row]), number[2];
    long at = (block.row + row) * outputs + block.column;
    for (int part = 0; part < 2; part++) {
        const int32_t *upper = block.sums + row * BLOCK + part * TILE, *lower = upper + TILE * BLOCK;
        const long column = block.column + part * TILE;
        __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(upper)), _mm512_set1_ps(256),
                                     _mm512_cvtepi32_ps(_mm512_load_si512(lower)));
        __m512 step = _mm512_mul_ps(scale, _mm512_loadu_ps(layer.scales + column));
        number[part] = _mm512_fmadd_ps(sum, step, _mm512_loadu_ps(layer.bias + column));
        float *to = (float *)out + at + part * TILE;
        if (then == ADDED) _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), number[part]));
        if (then == TO_GELU)
            _mm256_storeu_si256((__m256i *)((uint16_t *)out + at + part * TILE),
                                _mm512_cvtps_ph(gelu(number[part]), _MM_FROUND_TO_NEAREST_INT));
    }
    if (then == TO_BF16) _mm512_storeu_si512((uint16_t *)out + at, to_bf16(amx, number[0], number[1]));
}

/* left (rows, inputs) in tiles of two bytes a number, with a scale per row → products with bias, ended as `then` says.
   Rows are computed up to a multiple of 16. While the tiles multiply one block, the sums of the one before are ended, and
   the weights of the next columns fetched. */
static inline __attribute__((always_inline)) void linear(int amx, const uint8_t *left, const float *left_scales,
                                                         long rows, long inputs, Bytes layer, long outputs,
                                                         enum Then then, void *out) {
    _Alignas(64) int32_t sums[2][2 * TILE * BLOCK];
    const long steps = inputs / QUADS, half = TILE * inputs, some = (TILE + steps - 1) / steps;
    const long lines = BLOCK / ((rows + TILE - 1) / TILE) + 1;
    Block last = {NULL, 0, 0};
    for (long column = 0; column < outputs; column += BLOCK) {
        const int8_t *right = layer.steps + column * inputs, *ahead = right + BLOCK * inputs;
        const int32_t *none = layer.none + column;
        for (long block = 0; block < rows; block += TILE) {
            const uint8_t *from = left + 2 * block * inputs;
            int32_t *to = sums[last.sums == sums[0]];
            long row = last.sums ? 0 : TILE;
            if (amx) {
                STORED;
                _tile_loadd(0, none, 0);
                _tile_loadd(1, none + TILE, 0);
                _tile_zero(2);
                _tile_zero(3);
                for (long step = 0; step < half; step += TILE * QUADS) {
                    for (long line = 0; line < lines; line++, ahead += QUADS) _mm_prefetch(ahead, _MM_HINT_T1);
                    _tile_loadd(4, from + step, QUADS);
                    _tile_loadd(6, right + step, QUADS);
                    _tile_loadd(7, right + half + step, QUADS);
                    _tile_dpbusd(0, 4, 6);
                    _tile_loadd(5, from + half + step, QUADS);
                    _tile_dpbusd(1, 4, 7);
                    _tile_dpbusd(2, 5, 6);
                    _tile_dpbusd(3, 5, 7);
                    for (long end = row + some < TILE ? row + some : TILE; row < end; row++)
                        end_row(amx, last, row, left_scales, layer, outputs, then, out);
                }
                _tile_stored(0, to, BLOCK * 4);
                _tile_stored(1, to + TILE, BLOCK * 4);
                _tile_stored(2, to + TILE * BLOCK, BLOCK * 4);
                _tile_stored(3, to + TILE * BLOCK + TILE, BLOCK * 4);
            } else {
                for (; row < TILE; row++) end_row(amx, last, row, left_scales, layer, outputs, then, out);
                block_of_bytes(from, right, none, steps, to);
            }
            last = (Block){to, block, column};
        }
    }
    for (long row = 0; row < TILE; row++) end_row(amx, last, row, left_scales, layer, outputs, then, out);
}

/* left (rows, inputs) · weight + bias → out (rows, outputs) in fp32, from bf16. Rows may be read and written up to a
   multiple of 16. */
static void fine(int amx, const float *left, long rows, long inputs, Fine layer, long outputs, uint16_t *halves,
                 float *out) {
    _Alignas(64) float sums[TILE * TILE];
    for (long at = 0; at < rows * inputs; at += BLOCK)
        _mm512_storeu_si512(halves + at,
                            to_bf16(amx, _mm512_loadu_ps(left + at), _mm512_loadu_ps(left + at + TILE)));
    for (long column = 0; column < outputs; column += TILE)
        for (long block = 0; block < rows; block += TILE) {
            long some = rows - block < TILE ? rows - block : TILE;
            tile_of_bf16(amx, halves + block * inputs, some, inputs, BLOCK, layer.weight + column * inputs,
                         inputs / BLOCK, sums, TILE);
            for (long row = 0; row < some; row++)
                _mm512_storeu_ps(out + (block + row) * outputs + column,
                                 _mm512_add_ps(_mm512_load_ps(sums + row * TILE), _mm512_loadu_ps(layer.bias + column)));
        }
}

static void embed(const Model *m, const int32_t *ids, const int32_t *types, const int64_t *lengths, long pairs,
                  long tokens, Room *room) {
    long width = m->width, row = 0;
    for (long pair = 0; pair < pairs; pair++)
        for (long place = 0; place < lengths[pair]; place++, row++) {
            const int8_t *word = m->words + ids[row] * width;
            if (row + AHEAD < tokens)
                for (long at = 0; at < width; at += QUADS)
                    _mm_prefetch(m->words + ids[row + AHEAD] * width + at, _MM_HINT_T0);
            const float *position = m->positions + place * width, *type = m->types + types[row] * width;
            float *hidden = room->hidden + row * width;
            const float *scales = m->word_scales + ids[row] * (width / QUADS);
            for (long at = 0; at < width; at += TILE) {
                __m512 scale = _mm512_set1_ps(scales[at / QUADS]);
                __m512 steps = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(word + at))));
                __m512 around = _mm512_add_ps(_mm512_loadu_ps(position + at), _mm512_loadu_ps(type + at));
                _mm512_storeu_ps(hidden + at, _mm512_fmadd_ps(steps, scale, around));
            }
        }
    for (long few = 0; few < tokens; few += FEW)
        normalise_to_bytes(room->hidden, few, tokens - few < FEW ? tokens - few : FEW, m->embedded, m->epsilon, width,
                           room->row, room->bytes, room->scales, NULL, NULL);
}

/* What the loudest neurons, in fp32 beside the bytes, add to a token's hidden state. */
static inline void tell(const Layer *layer, float *hidden, long width, const float *heard) {
    __m512 loud = _mm512_maskz_loadu_ps(ALL_LOUD, heard), bias = _mm512_maskz_loadu_ps(ALL_LOUD, layer->loud_bias);
    float said[TILE];
    _mm512_storeu_ps(said, gelu(_mm512_add_ps(loud, bias)));
    for (long at = 0; at < width; at += TILE) {
        __m512 sum = _mm512_loadu_ps(hidden + at);
        for (int neuron = 0; neuron < LOUD; neuron++)
            sum = _mm512_fmadd_ps(_mm512_set1_ps(said[neuron]), _mm512_loadu_ps(layer->loud_onward + neuron * width + at),
                                  sum);
        _mm512_storeu_ps(hidden + at, sum);
    }
}

/* What follows attention, for a panel of rows: its output's product, the feed-forward, and the next layer's bytes. */
static void after_attention(const Model *m, int amx, const Layer *layer, long from, long rows, Room *room) {
    long width = m->width, neurons = m->neurons;
    float *hidden = room->hidden + from * width, *scales = room->scales + from;
    for (long few = 0; few < rows; few += FEW) {
        long end = rows < few + FEW ? rows : few + FEW;
        for (long row = few; row < end; row++) scales[row] = row_step(room->mixed + (from + row) * width, width);
        for (long row = few; row < end; row++)
            row_to_bytes(room->mixed + (from + row) * width, scales[row], width, tile_row(room->some, row, width));
    }
    linear(amx, room->some, scales, rows, width, layer->mixed, width, ADDED, hidden);
    for (long few = 0; few < rows; few += FEW)
        normalise_to_bytes(hidden, few, rows - few < FEW ? rows - few : FEW, layer->attended, m->epsilon, width, room->row,
                           room->some, scales, layer->loud_weight, room->loud);
    linear(amx, room->some, scales, rows, width, layer->inner, neurons, TO_GELU, room->halves);
    for (long few = 0; few < rows; few += FEW) {
        long end = rows < few + FEW ? rows : few + FEW;
        for (long row = few; row < end; row++) scales[row] = gelu_step(room->halves + row * neurons, neurons);
        for (long row = few; row < end; row++)
            gelu_to_bytes(room->halves + row * neurons, scales[row], neurons, tile_row(room->inner, row, neurons));
    }
    linear(amx, room->inner, scales, rows, neurons, layer->outer, width, ADDED, hidden);
    for (long few = 0; few < rows; few += FEW) {
        long some = rows - few < FEW ? rows - few : FEW;
        for (long row = few; row < few + some; row++) tell(layer, hidden + row * width, width, room->loud + row * LOUD);
        normalise_to_bytes(hidden, few, some, layer->fed, m->epsilon, width, room->row, room->bytes + 2 * from * width,
                           scales, NULL, NULL);
    }
}

/* Up to the last layer's attention, for pairs whose tokens fit together: the first tokens' hidden states, and what they
   attend to. */
static void layers(const Model *m, int amx, const int32_t *ids, const int32_t *types, const int64_t *lengths, long pairs,
                   long tokens, Room *room, float *first, float *attended) {
    long width = m->width, heads = m->heads, channels = width / heads;
    embed(m, ids, types, lengths, pairs, tokens, room);
    for (long number = 0; number < m->layers; number++) {
        const Layer *layer = m->layer + number;
        int last = number == m->layers - 1;
        long stride = (last ? 2 : 3) * width;
        for (long from = 0; from < tokens; from += PANEL)
            linear(amx, room->bytes + 2 * from * width, room->scales + from, tokens - from < PANEL ? tokens - from : PANEL,
                   width, layer->joined, stride, TO_BF16, room->projected + from * stride);
        if (last) {
            for (long pair = 0, at = 0; pair < pairs; at += lengths[pair++])
                memcpy(first + pair * width, room->hidden + at * width, width * 4);
            fine(amx, first, pairs, width, m->first.query, width, room->halves, attended);
            for (long at = 0; at < pairs * width; at += BLOCK)
                _mm512_storeu_si512(room->query + at, to_bf16(amx, _mm512_loadu_ps(attended + at),
                                                              _mm512_loadu_ps(attended + at + TILE)));
        }
        const uint16_t *rows = room->projected;
        float *mixed = last ? attended : room->mixed;
        for (long pair = 0; pair < pairs; pair++) {
            const uint16_t *query = last ? room->query + pair * width : rows, *key = last ? rows : rows + width;
            attend(amx, heads, channels, query, last ? width : stride, last ? 1 : lengths[pair], key, key + width, stride,
                   lengths[pair], room->attention, mixed, width);
            rows += lengths[pair] * stride;
            mixed += (last ? 1 : lengths[pair]) * width;
        }
        if (last) return;
        for (long from = 0; from < tokens; from += PANEL)
            after_attention(m, amx, layer, from, tokens - from < PANEL ? tokens - from : PANEL, room);
    }
}

static void add(float *to, const float *from, long count) {
    for (long at = 0; at < count; at += TILE)
        _mm512_storeu_ps(to + at, _mm512_add_ps(_mm512_loadu_ps(to + at), _mm512_loadu_ps(from + at)));
}

/* The rest of the last layer and the headers, for all pairs at once. */
static void finish(const Model *m, int amx, long pairs, Room *room, float *out) {
    const Layer *last = m->layer + m->layers - 1;
    long width = m->width;
    fine(amx, room->one, pairs, width, m->first.mixed, width, room->halves, room->two);
    add(room->two, room->first, pairs * width);
    for (long pair = 0; pair < pairs; pair++) normalise(room->two + pair * width, last->attended, m->epsilon, width);
    fine(amx, room->two, pairs, width, m->first.inner, m->neurons, room->halves, room->wide);
    for (long at = 0; at < pairs * m->neurons; at += TILE)
        _mm512_storeu_ps(room->wide + at, gelu(_mm512_loadu_ps(room->wide + at)));
    fine(amx, room->wide, pairs, m->neurons, m->first.outer, width, room->halves, room->one);
    add(room->one, room->two, pairs * width);
    for (long pair = 0; pair < pairs; pair++) normalise(room->one + pair * width, last->fed, m->epsilon, width);
    const float *vector = room->one;
    if (m->first.pooler.weight) {
        fine(amx, vector, pairs, width, m->first.pooler, width, room->halves, room->two);
        for (long at = 0; at < pairs * width; at += TILE)
            _mm512_storeu_ps(room->two + at, hyperbolic_tangent(_mm512_loadu_ps(room->two + at)));
        vector = room->two;
    }
    fine(amx, vector, pairs, width, m->first.headers, m->outputs, room->halves, room->wide);
    memcpy(out, room->wide, pairs * m->outputs * 4);
}

/* One product alone, for what there is to reach (benchmarks/serve_speed.py): left in tiles of two bytes → bf16. */
void tmkd_product(int level, const uint8_t *left, const float *left_scales, long rows, long inputs, const Bytes *layer,
                  long outputs, uint16_t *out) {
    if (level > 1) use_tiles();
    for (long from = 0; from < rows; from += PANEL)
        linear(level > 1, left + 2 * from * inputs, left_scales + from, rows - from < PANEL ? rows - from : PANEL, inputs,
               *layer, outputs, TO_BF16, out + from * outputs);
    if (level > 1) _tile_release();
}

/* ids and types, one pair after the other, `lengths` of each → out (pairs, outputs): what the headers' product gives.
   `work` has tmkd_work_space bytes and begins at a multiple of 64. */
void tmkd_encode(const Model *m, int level, long pairs, const int32_t *ids, const int32_t *types, const int64_t *lengths,
                 void *work, float *out) {
    Room room;
    long longest = 1;
    for (long pair = 0; pair < pairs; pair++) longest = lengths[pair] > longest ? lengths[pair] : longest;
    long space = longest > ROWS ? longest : ROWS;
    lay_out(m, pairs, longest, work, &room);
    if (level > 1) use_tiles();
    for (long from = 0; from < pairs;) {
        long to = from, tokens = 0;
        while (to < pairs && tokens + lengths[to] <= space) tokens += lengths[to++];
        layers(m, level > 1, ids, types, lengths + from, to - from, tokens, &room, room.first + from * m->width,
               room.one + from * m->width);
        ids += tokens, types += tokens, from = to;
    }
    finish(m, level > 1, pairs, &room, out);
    if (level > 1) _tile_release();
}
