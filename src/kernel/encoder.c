/* int8 BERT encoder, fused: token ids → header logits, the arithmetic of model.int8.onnx.

   Weights are the graph's int8 codes. Each layer's inputs are 8-bit codes, as the graph's are, or 16-bit ones, with which
   the error is smaller and two products are made instead of one (docs/speed.md).

   Tokens of several pairs lie one after the other, without padding. Each sum is over one token or one pair, in an order
   that depends on nothing else: a pair's logits are the same to the bit in any batch. Between two products activations
   stay in the core's cache: a block's sums become activations, and these the codes of the next product, panel by panel.

   Compiled with avx512.flags, and with amx.flags where the compiler has them. */
#include "attention.h"
#include "linear.h"

enum {
    GROUP_TOKENS = 512, /* pairs that go through the layers together: their activations fit a core's cache */
    PANEL_ROWS = 128,   /* rows that go from attention to the next layer's input together; a multiple of 16 */
    WORDS_AHEAD = 4     /* tokens between the prefetch of a word's vector and its use */
};

const int tmkd_compiled_level = AMX_COMPILED ? 2 : 1;

/* Everything between token ids and logits. `rows` is GROUP_TOKENS or the longest pair, and some more, which blocks of 16
   and 32 rows read and write beyond the last token; `firsts` the number of pairs and 16 more. */
typedef struct {
    float *hidden;          /* (rows, width) */
    float *context;         /* (rows, width), attention's output */
    uint8_t *layer_codes;   /* (rows, width) in tiles: a layer's input, rotated */
    float *scales;          /* (rows,) of layer_codes, then of the panels */
    uint16_t *qkv;          /* (rows, 3 · width) bf16 */
    float *rotated;         /* (ROWS_AT_ONCE, width) */
    uint8_t *panel_codes;   /* (PANEL_ROWS, width) in tiles */
    uint8_t *ffn_codes;     /* (PANEL_ROWS, ffn_width) in tiles */
    float *outlier_product; /* (PANEL_ROWS, OUTLIERS) */
    uint16_t *halves;       /* (PANEL_ROWS, ffn_width) fp16 GELU outputs, or (firsts, widest) bf16 inputs of a layer */
    AttentionScratch attention;
    /* The last layer, for the first token of each pair: */
    float *first_hidden, *first_context, *first_other; /* (firsts, width) */
    float *first_wide;                                 /* (firsts, widest) */
    uint16_t *first_query;                             /* (firsts, width) bf16 */
} Workspace;

/* What all functions below work with; amx is whether to use level 2. */
typedef struct {
    const Model *model;
    int amx;
    Workspace work;
} Encoder;

static long at_most(long number, long limit) { return number < limit ? number : limit; }
static long at_least(long number, long limit) { return number > limit ? number : limit; }

static long longest_pair(const Batch *batch) {
    long longest = 1;
    for (long pair = 0; pair < batch->pairs; pair++) longest = at_least(batch->lengths[pair], longest);
    return longest;
}

/* Memory handed out from `base` on, or only counted where base is NULL. */
typedef struct {
    char *base;
    int64_t used;
} Arena;

/* The next `bytes` of it, beginning at a multiple of 64; NULL while counting. */
static void *take(Arena *arena, int64_t bytes) {
    const int64_t offset = arena->used;
    arena->used += (bytes + 63) / 64 * 64;
    return arena->base ? arena->base + offset : NULL;
}

static void lay_out(const Model *m, long pairs, long longest, Arena *arena, Workspace *work) {
    const long width = m->width, head_width = width / m->heads, tokens = longest + TILE_BF16;
    const long rows = at_least(longest, GROUP_TOKENS) + 2 * TILE_BF16, firsts = pairs + TILE_ROWS;
    const long widest = at_least(at_least(m->ffn_width, width), m->last.headers.outputs);
    work->hidden = take(arena, rows * width * 4);
    work->context = take(arena, rows * width * 4);
    work->rotated = take(arena, ROWS_AT_ONCE * width * 4);
    work->scales = take(arena, rows * 4);
    work->outlier_product = take(arena, PANEL_ROWS * OUTLIERS * 4);
    work->qkv = take(arena, rows * 3 * width * 2);
    work->halves = take(arena, at_least(firsts, PANEL_ROWS) * widest * 2);
    work->layer_codes = take(arena, rows * width * 2);
    work->panel_codes = take(arena, PANEL_ROWS * width * 2);
    work->ffn_codes = take(arena, PANEL_ROWS * m->ffn_width * 2);
    work->first_hidden = take(arena, firsts * width * 4);
    work->first_context = take(arena, firsts * width * 4);
    work->first_other = take(arena, firsts * width * 4);
    work->first_wide = take(arena, firsts * widest * 4);
    work->first_query = take(arena, firsts * width * 2);
    work->attention.queries = take(arena, TILE_ROWS * head_width * 2);
    work->attention.values = take(arena, tokens * head_width * 2);
    work->attention.scores = take(arena, TILE_ROWS * tokens * 4);
    work->attention.weights = take(arena, TILE_ROWS * tokens * 2);
    work->attention.context = take(arena, TILE_ROWS * head_width * 4);
}

int64_t tmkd_workspace_size(const Model *model, const Batch *batch) {
    Arena counted = {NULL, 0};
    Workspace unused;
    lay_out(model, batch->pairs, longest_pair(batch), &counted, &unused);
    return counted.used;
}

/* A word's vector, int8 with a scale per 64 channels, plus its position's and its token type's → hidden (width,). */
static inline void embed_token(const Model *m, long id, long type, long position, float *hidden) {
    const int8_t *codes = m->word_codes + id * m->width;
    const float *scales = m->word_scales + id * (m->width / TILE_INT8);
    const float *at_position = m->positions + position * m->width, *of_type = m->token_types + type * m->width;
    for (long at = 0; at < m->width; at += LANES) {
        __m512 scale = _mm512_set1_ps(scales[at / TILE_INT8]);
        __m512 word = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(codes + at))));
        __m512 others = _mm512_add_ps(_mm512_loadu_ps(at_position + at), _mm512_loadu_ps(of_type + at));
        _mm512_storeu_ps(hidden + at, _mm512_fmadd_ps(word, scale, others));
    }
}

/* The input of `layer`, quantised, from row `from` on, a multiple of 16. */
static QuantisedRows layer_input(const Encoder *e, const Layer *layer, long from) {
    const QuantisedRows rows = {e->work.layer_codes, e->work.scales, layer->qkv.bytes};
    return (QuantisedRows){tiled_row(rows, from, e->model->width), rows.scales + from, rows.bytes};
}

/* Embeddings of a group's `tokens` tokens, their LayerNorm, and the first layer's input. */
static void embed(const Encoder *e, const Batch *group, long tokens) {
    const Model *m = e->model;
    const long width = m->width;
    long row = 0;
    for (long pair = 0; pair < group->pairs; pair++)
        for (long position = 0; position < group->lengths[pair]; position++, row++) {
            if (row + WORDS_AHEAD < tokens)
                for (long at = 0; at < width; at += TILE_INT8)
                    _mm_prefetch((const char *)m->word_codes + group->ids[row + WORDS_AHEAD] * width + at, _MM_HINT_T0);
            embed_token(m, group->ids[row], group->types[row], position, e->work.hidden + row * width);
        }
    const NormTask task = {.hidden = e->work.hidden,
                           .width = width,
                           .norm = m->embedding_norm,
                           .epsilon = m->epsilon,
                           .rotated = e->work.rotated,
                           .out = layer_input(e, m->layer, 0)};
    for (long first = 0; first < tokens; first += ROWS_AT_ONCE)
        normalise_and_quantise(task, first, at_most(tokens - first, ROWS_AT_ONCE));
}

static void project_qkv(const Encoder *e, const Layer *layer, long tokens) {
    const Int8Linear qkv = layer->qkv;
    for (long from = 0; from < tokens; from += PANEL_ROWS) {
        const Epilogue epilogue = {STORE_BF16, e->work.qkv + from * qkv.outputs};
        int8_linear(e->amx, layer_input(e, layer, from), at_most(tokens - from, PANEL_ROWS), qkv, epilogue);
    }
}

/* Attention's output layer and the feed-forward for a panel of rows, each with its residual and LayerNorm, up to the next
   layer's input. */
static void finish_layer(const Encoder *e, const Layer *layer, long from, long rows) {
    const Workspace *w = &e->work;
    const int amx = e->amx;
    const long width = e->model->width, ffn_width = e->model->ffn_width;
    float *hidden = w->hidden + from * width, *context = w->context + from * width;
    float *scales = w->scales + from; /* the panel's own input is used up */
    const QuantisedRows attended = {w->panel_codes, scales, layer->attn_out.bytes};
    const QuantisedRows ffn_in = {w->panel_codes, scales, layer->ffn_up.bytes};
    const QuantisedRows neurons = {w->ffn_codes, scales, layer->ffn_down.bytes};

    for (long few = 0; few < rows; few += ROWS_AT_ONCE) {
        const long end = at_most(few + ROWS_AT_ONCE, rows);
        for (long row = few; row < end; row++) scales[row] = row_scale(attended.bytes, context + row * width, width);
        for (long row = few; row < end; row++)
            quantise_row(attended.bytes, context + row * width, scales[row], width, tiled_row(attended, row, width));
    }
    int8_linear(amx, attended, rows, layer->attn_out, (Epilogue){ADD_TO_FP32, hidden});

    const NormTask attn_norm = {.hidden = hidden,
                                .width = width,
                                .norm = layer->attn_norm,
                                .epsilon = e->model->epsilon,
                                .rotated = w->rotated,
                                .out = ffn_in,
                                .up_weight = layer->outliers.up_weight,
                                .up_product = w->outlier_product};
    for (long few = 0; few < rows; few += ROWS_AT_ONCE)
        normalise_and_quantise(attn_norm, few, at_most(rows - few, ROWS_AT_ONCE));
    int8_linear(amx, ffn_in, rows, layer->ffn_up, (Epilogue){STORE_GELU_FP16, w->halves});

    for (long few = 0; few < rows; few += ROWS_AT_ONCE) {
        const long end = at_most(few + ROWS_AT_ONCE, rows);
        for (long row = few; row < end; row++) scales[row] = gelu_row_scale(neurons.bytes, w->halves + row * ffn_width, ffn_width);
        for (long row = few; row < end; row++)
            quantise_gelu_row(neurons.bytes, w->halves + row * ffn_width, scales[row], ffn_width,
                              tiled_row(neurons, row, ffn_width));
    }
    int8_linear(amx, neurons, rows, layer->ffn_down, (Epilogue){ADD_TO_FP32, hidden});

    const NormTask ffn_norm = {.hidden = hidden,
                               .width = width,
                               .norm = layer->ffn_norm,
                               .epsilon = e->model->epsilon,
                               .rotated = w->rotated,
                               .out = layer_input(e, layer + 1, from)};
    for (long few = 0; few < rows; few += ROWS_AT_ONCE) {
        const long some = at_most(rows - few, ROWS_AT_ONCE);
        for (long row = few; row < few + some; row++)
            add_outliers(layer->outliers, w->outlier_product + row * OUTLIERS, hidden + row * width, width);
        normalise_and_quantise(ffn_norm, few, some);
    }
}

/* Queries of each pair's first token, and what they attend to, for pairs `first_pair` and on of the batch. */
static void attend_first_tokens(const Encoder *e, const Batch *group, long first_pair) {
    const Model *m = e->model;
    const Workspace *w = &e->work;
    const long width = m->width;
    float *hidden = w->first_hidden + first_pair * width, *context = w->first_context + first_pair * width;
    for (long pair = 0, row = 0; pair < group->pairs; row += group->lengths[pair++])
        memcpy(hidden + pair * width, w->hidden + row * width, width * 4);
    bf16_linear(e->amx, hidden, group->pairs, &m->last.query, w->halves, context);
    convert_to_bf16(e->amx, context, group->pairs * width, w->first_query);
    const uint16_t *key = w->qkv; /* of the last layer key and value alone */
    for (long pair = 0; pair < group->pairs; pair++) {
        const AttentionInput in = {.query = w->first_query + pair * width,
                                   .query_stride = width,
                                   .queries = 1,
                                   .key = key,
                                   .value = key + width,
                                   .stride = 2 * width,
                                   .tokens = group->lengths[pair],
                                   .heads = m->heads,
                                   .head_width = width / m->heads};
        attention(e->amx, &in, &w->attention, context + pair * width);
        key += group->lengths[pair] * 2 * width;
    }
}

static void attend(const Encoder *e, const Batch *group) {
    const Model *m = e->model;
    const Workspace *w = &e->work;
    const long width = m->width;
    const uint16_t *query = w->qkv;
    float *context = w->context;
    for (long pair = 0; pair < group->pairs; pair++) {
        const long tokens = group->lengths[pair];
        const AttentionInput in = {.query = query,
                                   .query_stride = 3 * width,
                                   .queries = tokens,
                                   .key = query + width,
                                   .value = query + 2 * width,
                                   .stride = 3 * width,
                                   .tokens = tokens,
                                   .heads = m->heads,
                                   .head_width = width / m->heads};
        attention(e->amx, &in, &w->attention, context);
        query += tokens * 3 * width;
        context += tokens * width;
    }
}

/* A group of pairs up to the last layer's attention: fills first_hidden and first_context from `first_pair` on. */
static void run_layers(const Encoder *e, const Batch *group, long tokens, long first_pair) {
    const Model *m = e->model;
    embed(e, group, tokens);
    for (long number = 0; number < m->layers - 1; number++) {
        const Layer *layer = m->layer + number;
        project_qkv(e, layer, tokens);
        attend(e, group);
        for (long from = 0; from < tokens; from += PANEL_ROWS)
            finish_layer(e, layer, from, at_most(tokens - from, PANEL_ROWS));
    }
    project_qkv(e, m->layer + m->layers - 1, tokens);
    attend_first_tokens(e, group, first_pair);
}

static void add(float *to, const float *from, long count) {
    for (long at = 0; at < count; at += LANES)
        _mm512_storeu_ps(to + at, _mm512_add_ps(_mm512_loadu_ps(to + at), _mm512_loadu_ps(from + at)));
}

/* The rest of the last layer, the pooler and the headers, for the first tokens of all pairs at once. */
static void run_headers(const Encoder *e, long pairs, float *logits) {
    const Model *m = e->model;
    const LastLayer *last = &m->last;
    const Layer *layer = m->layer + m->layers - 1;
    const Workspace *w = &e->work;
    const int amx = e->amx;
    const long width = m->width;
    float *attended = w->first_other, *out = w->first_context, *wide = w->first_wide;

    bf16_linear(amx, w->first_context, pairs, &last->attn_out, w->halves, attended);
    add(attended, w->first_hidden, pairs * width);
    for (long pair = 0; pair < pairs; pair++)
        normalise_row(attended + pair * width, layer->attn_norm, m->epsilon, width);

    bf16_linear(amx, attended, pairs, &last->ffn_up, w->halves, wide);
    for (long at = 0; at < pairs * m->ffn_width; at += LANES)
        _mm512_storeu_ps(wide + at, gelu(_mm512_loadu_ps(wide + at)));
    bf16_linear(amx, wide, pairs, &last->ffn_down, w->halves, out);
    add(out, attended, pairs * width);
    for (long pair = 0; pair < pairs; pair++) normalise_row(out + pair * width, layer->ffn_norm, m->epsilon, width);

    const float *vector = out;
    if (last->pooler.weight) {
        float *pooled = w->first_other;
        bf16_linear(amx, vector, pairs, &last->pooler, w->halves, pooled);
        for (long at = 0; at < pairs * width; at += LANES)
            _mm512_storeu_ps(pooled + at, hyperbolic_tangent(_mm512_loadu_ps(pooled + at)));
        vector = pooled;
    }
    bf16_linear(amx, vector, pairs, &last->headers, w->halves, wide);
    memcpy(logits, wide, pairs * last->headers.outputs * 4);
}

void tmkd_encode(const Model *model, int level, const Batch *batch, void *workspace, float *logits) {
    const long longest = longest_pair(batch), limit = at_least(longest, GROUP_TOKENS);
    Encoder encoder = {.model = model, .amx = AMX_COMPILED && level > 1};
    Arena arena = {workspace, 0};
    lay_out(model, batch->pairs, longest, &arena, &encoder.work);
    if (encoder.amx) configure_tiles();
    Batch group = *batch;
    for (long from = 0; from < batch->pairs; from += group.pairs) {
        long tokens = 0;
        group.lengths = batch->lengths + from;
        group.pairs = 0;
        while (from + group.pairs < batch->pairs && tokens + group.lengths[group.pairs] <= limit)
            tokens += group.lengths[group.pairs++];
        run_layers(&encoder, &group, tokens, from);
        group.ids += tokens;
        group.types += tokens;
    }
    run_headers(&encoder, batch->pairs, logits);
    if (encoder.amx) TILE_RELEASE();
}
