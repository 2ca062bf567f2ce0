/* The kernel's primitives one by one, for tests/kernel and benchmarks/serve_speed.py, which compile this file themselves.
   The installed library has none of it. Arrays are as the called functions describe them. */
#include "encoder.c"

static int begin(int level) {
    const int amx = AMX_COMPILED && level > 1;
    if (amx) configure_tiles();
    return amx;
}

static void end(int amx) {
    if (amx) TILE_RELEASE();
}

/* function: 0 gelu, 1 power_of_two, 2 hyperbolic_tangent, 3 hadamard_rotate; count is a multiple of 16. */
void primitive_elementwise(int function, const float *x, long count, float *out) {
    for (long at = 0; at < count; at += LANES) {
        __m512 numbers = _mm512_loadu_ps(x + at);
        _mm512_storeu_ps(out + at, function == 0   ? gelu(numbers)
                                   : function == 1 ? power_of_two(numbers)
                                   : function == 2 ? hyperbolic_tangent(numbers)
                                                   : hadamard_rotate(numbers));
    }
}

void primitive_convert_to_bf16(int level, const float *numbers, long count, uint16_t *out) {
    const int amx = begin(level);
    convert_to_bf16(amx, numbers, count, out);
    end(amx);
}

/* rows (count, width), fp32 or, for GELU's outputs, fp16. */
void primitive_quantise(int gelu_outputs, const void *rows, long count, long width, const QuantisedRows *out) {
    const long bytes = out->bytes;
    for (long row = 0; row < count; row++) {
        uint8_t *to = tiled_row(*out, row, width);
        if (gelu_outputs) {
            const uint16_t *own = (const uint16_t *)rows + row * width;
            out->scales[row] = gelu_row_scale(bytes, own, width);
            quantise_gelu_row(bytes, own, out->scales[row], width, to);
        } else {
            const float *own = (const float *)rows + row * width;
            out->scales[row] = row_scale(bytes, own, width);
            quantise_row(bytes, own, out->scales[row], width, to);
        }
    }
}

void primitive_normalise(float *rows, long count, long width, const LayerNorm *norm, float epsilon) {
    for (long row = 0; row < count; row++) normalise_row(rows + row * width, *norm, epsilon, width);
}

void primitive_normalise_and_quantise(float *hidden, long rows, long width, const LayerNorm *norm, float epsilon,
                                      const QuantisedRows *out, const float *up_weight, float *up_product) {
    float rotated[ROWS_AT_ONCE * width];
    const NormTask task = {hidden, width, *norm, epsilon, rotated, *out, up_weight, up_product};
    for (long first = 0; first < rows; first += ROWS_AT_ONCE)
        normalise_and_quantise(task, first, at_most(rows - first, ROWS_AT_ONCE));
}

void primitive_add_outliers(const Outliers *outliers, const float *up_product, float *hidden, long rows, long width) {
    for (long row = 0; row < rows; row++)
        add_outliers(*outliers, up_product + row * OUTLIERS, hidden + row * width, width);
}

void primitive_int8_block_avx512(long bytes, const uint8_t *left, const int8_t *right, const int32_t *compensation,
                                 long steps, int32_t *sums) {
    int8_block_avx512(bytes, left, right, compensation, steps, sums);
}

/* Rows of a plain matrix (rows, 32 · steps) · right → sums (16, 16). */
void primitive_bf16_tile(int level, const uint16_t *left, long rows, const uint16_t *right, long steps, float *sums) {
    const int amx = begin(level);
    bf16_tile(amx, (Bf16Rows){left, rows, steps * TILE_BF16, TILE_BF16}, right, steps, sums, LANES);
    end(amx);
}

/* An int8 layer panel by panel, as the encoder runs it. operation is one of Epilogue's. */
void primitive_int8_linear(int level, const QuantisedRows *input, long rows, const Int8Linear *layer, int operation,
                           void *out) {
    const int amx = begin(level);
    for (long from = 0; from < rows; from += PANEL_ROWS) {
        const QuantisedRows panel = {tiled_row(*input, from, layer->inputs), input->scales + from, input->bytes};
        const long count = at_most(rows - from, PANEL_ROWS), at = from * layer->outputs;
        if (operation == STORE_BF16)
            int8_linear(amx, panel, count, *layer, (Epilogue){STORE_BF16, (uint16_t *)out + at});
        else if (operation == ADD_TO_FP32)
            int8_linear(amx, panel, count, *layer, (Epilogue){ADD_TO_FP32, (float *)out + at});
        else
            int8_linear(amx, panel, count, *layer, (Epilogue){STORE_GELU_FP16, (uint16_t *)out + at});
    }
    end(amx);
}

void primitive_bf16_linear(int level, const float *input, long rows, const Bf16Linear *layer, uint16_t *halves,
                           float *out) {
    const int amx = begin(level);
    bf16_linear(amx, input, rows, layer, halves, out);
    end(amx);
}

/* 16 rows of 16 pairs of bf16. */
void primitive_transpose_pairs(const uint16_t *rows, uint16_t *out) {
    __m512i loaded[16];
    for (int row = 0; row < 16; row++) loaded[row] = _mm512_loadu_si512(rows + row * TILE_BF16);
    transpose_pairs(loaded, out);
}

void primitive_pack_values(const uint16_t *value, long stride, long tokens, long head_width, uint16_t *packed) {
    pack_values(value, stride, tokens, head_width, packed);
}

void primitive_softmax_weights(int level, const float *scores, long tokens, uint16_t *weights, float *sums) {
    const int amx = begin(level);
    _mm512_storeu_ps(sums, softmax_weights(amx, scores, tokens, weights));
    end(amx);
}

void primitive_attention(int level, const AttentionInput *in, const AttentionScratch *scratch, float *out) {
    const int amx = begin(level);
    attention(amx, in, scratch, out);
    end(amx);
}

void primitive_embed(const Model *model, const Batch *batch, void *workspace, float *hidden) {
    Encoder encoder = {.model = model};
    Arena arena = {workspace, 0};
    long tokens = 0;
    for (long pair = 0; pair < batch->pairs; pair++) tokens += batch->lengths[pair];
    lay_out(model, batch->pairs, longest_pair(batch), &arena, &encoder.work);
    embed(&encoder, batch, tokens);
    memcpy(hidden, encoder.work.hidden, tokens * model->width * 4);
}
