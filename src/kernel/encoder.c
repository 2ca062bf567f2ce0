/* A BERT in bytes, from token ids to the products of its headers: what the bundle's int8 graph says, in one pass.

   Tokens of several pairs lie one after the other, without padding; every sum is over one token or one pair, in an order
   that depends on nothing else, so a pair's numbers are the same to the bit whatever stands beside it.
   Between two products nothing leaves the core's cache: sums become numbers, numbers the next product's bytes.
   Needs AVX-512 with VNNI; AMX makes the products faster. */
#include "attention.h"
#include <sys/syscall.h>
#include <unistd.h>

enum { ROWS = 512 /* tokens computed together */, PANEL = 128 /* rows of a feed-forward between its two products */ };

typedef struct { const float *weight /* (outputs / 32, inputs, 32) */, *bias; } Exact;

typedef struct {
    Bytes joined; /* query, key, value; of the last layer key and value */
    Bytes mixed, inner, outer;
    Norm attended, fed;
    const float *loud_weight, *loud_bias, *loud_onward; /* (4, width), (4,), (4, width) */
} Layer;

typedef struct {
    Exact query, mixed, inner, outer, pooler, headers; /* pooler.weight is NULL where there is none */
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
    float *hidden, *mixed, *scales, *inner_scales, *loud, *first, *one, *two, *wide;
    uint16_t *projected, *halves, *query;
    uint8_t *bytes, *inner;
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
    long rows = (longest > ROWS ? longest : ROWS) + 2 * BLOCK, few = pairs + 16, tokens = longest + BLOCK;
    long wide = m->neurons > m->width ? m->neurons : m->width, channels = m->width / m->heads;
    room->hidden = (float *)take(&at, rows * m->width * 4);
    room->mixed = (float *)take(&at, rows * m->width * 4);
    room->scales = (float *)take(&at, rows * 4);
    room->inner_scales = (float *)take(&at, PANEL * 4);
    room->loud = (float *)take(&at, rows * LOUD * 4);
    room->projected = (uint16_t *)take(&at, rows * 3 * m->width * 2);
    room->halves = (uint16_t *)take(&at, PANEL * m->neurons * 2);
    room->bytes = (uint8_t *)take(&at, rows * m->width);
    room->inner = (uint8_t *)take(&at, PANEL * m->neurons);
    room->first = (float *)take(&at, few * m->width * 4);
    room->one = (float *)take(&at, few * m->width * 4);
    room->two = (float *)take(&at, few * m->width * 4);
    room->wide = (float *)take(&at, few * wide * 4);
    room->query = (uint16_t *)take(&at, few * m->width * 2);
    room->attention.keys = (uint16_t *)take(&at, tokens * channels * 2);
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

/* left (rows, inputs) in bytes with a scale per row → products with bias, as bf16, added to fp32, or Gelu's as fp16.
   Rows are computed up to a multiple of 32. */
static inline __attribute__((always_inline)) void linear(int amx, const uint8_t *left, const float *left_scales,
                                                         long rows, long inputs, Bytes layer, long outputs,
                                                         enum Then then, void *out) {
    _Alignas(64) int32_t sums[BLOCK * BLOCK];
    for (long column = 0; column < outputs; column += BLOCK) {
        const int8_t *right = layer.steps + column * inputs;
        const __m512i zero[2] = {_mm512_loadu_si512(layer.sums + column), _mm512_loadu_si512(layer.sums + column + TILE)};
        const __m512 step[2] = {_mm512_loadu_ps(layer.scales + column), _mm512_loadu_ps(layer.scales + column + TILE)};
        const __m512 bias[2] = {_mm512_loadu_ps(layer.bias + column), _mm512_loadu_ps(layer.bias + column + TILE)};
        for (long block = 0; block < rows; block += BLOCK) {
            block_of_bytes(amx, left + block * inputs, inputs, right, inputs / QUADS, sums);
            for (long row = 0; row < BLOCK; row++) {
                __m512 scale = _mm512_set1_ps(left_scales[block + row]), number[2];
                long at = (block + row) * outputs + column;
                for (int part = 0; part < 2; part++) {
                    __m512i sum = _mm512_sub_epi32(_mm512_load_si512(sums + row * BLOCK + part * TILE), zero[part]);
                    __m512 size = _mm512_mul_ps(scale, step[part]);
                    number[part] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), size, bias[part]);
                }
                if (then == TO_BF16) _mm512_storeu_si512((uint16_t *)out + at, to_bf16(amx, number[0], number[1]));
                if (then == ADDED)
                    for (int part = 0; part < 2; part++) {
                        float *to = (float *)out + at + part * TILE;
                        _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), number[part]));
                    }
                if (then == TO_GELU)
                    for (int part = 0; part < 2; part++)
                        _mm256_storeu_si256((__m256i *)((uint16_t *)out + at + part * TILE),
                                            _mm512_cvtps_ph(gelu(number[part]), _MM_FROUND_TO_NEAREST_INT));
            }
        }
    }
}

/* left (rows up to a multiple of 8, inputs) · weight + bias → out (rows, outputs), all fp32. */
static void exact(const float *left, long rows, long inputs, Exact layer, long outputs, float *out) {
    for (long column = 0; column < outputs; column += BLOCK)
        for (long block = 0; block < rows; block += 8) {
            const float *weight = layer.weight + column * inputs;
            __m512 one[8], two[8];
            for (int row = 0; row < 8; row++) {
                one[row] = _mm512_loadu_ps(layer.bias + column);
                two[row] = _mm512_loadu_ps(layer.bias + column + TILE);
            }
            for (long input = 0; input < inputs; input++, weight += BLOCK)
                for (int row = 0; row < 8; row++) {
                    __m512 number = _mm512_set1_ps(left[(block + row) * inputs + input]);
                    one[row] = _mm512_fmadd_ps(number, _mm512_loadu_ps(weight), one[row]);
                    two[row] = _mm512_fmadd_ps(number, _mm512_loadu_ps(weight + TILE), two[row]);
                }
            for (int row = 0; row < 8; row++) {
                _mm512_storeu_ps(out + (block + row) * outputs + column, one[row]);
                _mm512_storeu_ps(out + (block + row) * outputs + column + TILE, two[row]);
            }
        }
}

static void embed(const Model *m, const int32_t *ids, const int32_t *types, const int64_t *lengths, long pairs,
                  float *hidden) {
    for (long pair = 0; pair < pairs; pair++)
        for (long place = 0; place < lengths[pair]; place++, ids++, types++, hidden += m->width) {
            const int8_t *word = m->words + (long)*ids * m->width;
            const float *position = m->positions + place * m->width, *type = m->types + (long)*types * m->width;
            __m512 scale = _mm512_set1_ps(m->word_scales[*ids]);
            for (long at = 0; at < m->width; at += TILE) {
                __m512 steps = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(word + at))));
                __m512 around = _mm512_add_ps(_mm512_loadu_ps(position + at), _mm512_loadu_ps(type + at));
                _mm512_storeu_ps(hidden + at, _mm512_fmadd_ps(steps, scale, around));
            }
            normalise(hidden, m->embedded, m->epsilon, m->width);
        }
}

static void feed_forward(const Model *m, int amx, const Layer *layer, long rows, Room *room) {
    for (long from = 0; from < rows; from += PANEL) {
        long some = rows - from < PANEL ? rows - from : PANEL, width = m->width, neurons = m->neurons;
        linear(amx, room->bytes + from * width, room->scales + from, some, width, layer->inner, neurons, TO_GELU,
               room->halves);
        for (long row = 0; row < (some + BLOCK - 1) / BLOCK * BLOCK; row++)
            room->inner_scales[row] =
                gelu_to_bytes(room->halves + row * neurons, neurons, room->inner + row * neurons);
        linear(amx, room->inner, room->inner_scales, some, neurons, layer->outer, width, ADDED,
               room->hidden + from * width);
    }
}

/* The loudest neurons, in fp32 beside the bytes: what they get from a token's hidden state, then what they add to it. */
static inline void hear(const Layer *layer, const float *hidden, long width, float *loud) {
    __m512 told = _mm512_setzero_ps();
    for (int neuron = 0; neuron < LOUD; neuron++) {
        float sum = dot(hidden, layer->loud_weight + neuron * width, width) + layer->loud_bias[neuron];
        told = _mm512_mask_mov_ps(told, 1u << neuron, _mm512_set1_ps(sum));
    }
    _mm512_mask_storeu_ps(loud, (1u << LOUD) - 1, gelu(told));
}

static inline void tell(const Layer *layer, float *hidden, long width, const float *loud) {
    for (long at = 0; at < width; at += TILE) {
        __m512 sum = _mm512_loadu_ps(hidden + at);
        for (int neuron = 0; neuron < LOUD; neuron++)
            sum = _mm512_fmadd_ps(_mm512_set1_ps(loud[neuron]), _mm512_loadu_ps(layer->loud_onward + neuron * width + at),
                                  sum);
        _mm512_storeu_ps(hidden + at, sum);
    }
}

/* Up to the last layer's attention, for pairs whose tokens fit together: the first tokens' hidden states, and what they
   attend to. */
static void layers(const Model *m, int amx, const int32_t *ids, const int32_t *types, const int64_t *lengths, long pairs,
                   long tokens, Room *room, float *first, float *attended) {
    long width = m->width, heads = m->heads, channels = width / heads;
    embed(m, ids, types, lengths, pairs, room->hidden);
    for (long number = 0; number < m->layers; number++) {
        const Layer *layer = m->layer + number;
        int last = number == m->layers - 1;
        long stride = (last ? 2 : 3) * width;
        for (long row = 0; row < tokens; row++)
            room->scales[row] =
                row_to_bytes(room->hidden + row * width, layer->joined.ease, width, room->bytes + row * width);
        linear(amx, room->bytes, room->scales, tokens, width, layer->joined, stride, TO_BF16, room->projected);
        if (last) {
            for (long pair = 0, at = 0; pair < pairs; at += lengths[pair++])
                memcpy(first + pair * width, room->hidden + at * width, width * 4);
            exact(first, pairs, width, m->first.query, width, attended);
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
        for (long row = 0; row < tokens; row++)
            room->scales[row] = row_to_bytes(room->mixed + row * width, NULL, width, room->bytes + row * width);
        linear(amx, room->bytes, room->scales, tokens, width, layer->mixed, width, ADDED, room->hidden);
        for (long row = 0; row < tokens; row++) {
            float *hidden = room->hidden + row * width;
            normalise(hidden, layer->attended, m->epsilon, width);
            room->scales[row] = row_to_bytes(hidden, layer->inner.ease, width, room->bytes + row * width);
            hear(layer, hidden, width, room->loud + row * LOUD);
        }
        feed_forward(m, amx, layer, tokens, room);
        for (long row = 0; row < tokens; row++) {
            float *hidden = room->hidden + row * width;
            tell(layer, hidden, width, room->loud + row * LOUD);
            normalise(hidden, layer->fed, m->epsilon, width);
        }
    }
}

static void add(float *to, const float *from, long count) {
    for (long at = 0; at < count; at += TILE)
        _mm512_storeu_ps(to + at, _mm512_add_ps(_mm512_loadu_ps(to + at), _mm512_loadu_ps(from + at)));
}

/* The rest of the last layer and the headers, for all pairs at once, in fp32. */
static void finish(const Model *m, long pairs, Room *room, float *out) {
    const Layer *last = m->layer + m->layers - 1;
    long width = m->width;
    exact(room->one, pairs, width, m->first.mixed, width, room->two);
    add(room->two, room->first, pairs * width);
    for (long pair = 0; pair < pairs; pair++) normalise(room->two + pair * width, last->attended, m->epsilon, width);
    exact(room->two, pairs, width, m->first.inner, m->neurons, room->wide);
    for (long at = 0; at < pairs * m->neurons; at += TILE)
        _mm512_storeu_ps(room->wide + at, gelu(_mm512_loadu_ps(room->wide + at)));
    exact(room->wide, pairs, m->neurons, m->first.outer, width, room->one);
    add(room->one, room->two, pairs * width);
    for (long pair = 0; pair < pairs; pair++) normalise(room->one + pair * width, last->fed, m->epsilon, width);
    const float *vector = room->one;
    if (m->first.pooler.weight) {
        exact(vector, pairs, width, m->first.pooler, width, room->two);
        for (long at = 0; at < pairs * width; at += TILE)
            _mm512_storeu_ps(room->two + at, hyperbolic_tangent(_mm512_loadu_ps(room->two + at)));
        vector = room->two;
    }
    exact(vector, pairs, width, m->first.headers, m->outputs, room->wide);
    memcpy(out, room->wide, pairs * m->outputs * 4);
}

/* ids and types, one pair after the other, `lengths` of each → out (pairs, outputs): what the headers' product gives.
   `work` has tmkd_work_space bytes and begins at a multiple of 64; outputs is at most the width or the neurons. */
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
    if (level > 1) _tile_release();
    finish(m, pairs, &room, out);
}
