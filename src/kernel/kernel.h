/* The kernel's interface: the structures that its Python binding fills, and the functions that it calls.

   src/tmkd/bundle/kernel_library.py mirrors the structures by hand. Raise TMKD_ABI in both files whenever a structure, a
   memory layout (tiles.h) or a function changes: the binding refuses a library that was compiled for another number.
   All pointers are to memory that begins at a multiple of 64 bytes, except where a comment says otherwise. */
#pragma once
#include <stdint.h>

enum { TMKD_ABI = 3, OUTLIERS = 4 /* neurons of a feed-forward that are not quantised */ };

/* Linear layer with int8 weights, a scale per output. inputs is a multiple of 64, outputs of 32. */
typedef struct {
    const int8_t *codes;         /* (outputs / 16, inputs / 64, 16, 16, 4), tiled as in tiles.h */
    const float *scales;         /* (outputs,) */
    const float *bias;           /* (outputs,) */
    const int32_t *compensation; /* (outputs,) −zero_point · Σ codes, where the sums of the upper bytes start */
    int64_t inputs, outputs;
    int64_t bytes; /* of an input's code, 1 or 2 */
} Int8Linear;

/* Linear layer with bf16 weights. inputs is a multiple of 32, outputs of 16. */
typedef struct {
    const uint16_t *weight; /* (outputs / 16, inputs / 32, 16, 16, 2), tiled as in tiles.h */
    const float *bias;      /* (outputs,) */
    int64_t inputs, outputs;
} Bf16Linear;

typedef struct {
    const float *weight, *bias; /* (width,) each */
} LayerNorm;

/* The OUTLIERS neurons of a feed-forward with the largest activations, in fp32; zeros where there are none. */
typedef struct {
    const float *up_weight;   /* (OUTLIERS, width) */
    const float *up_bias;     /* (OUTLIERS,) */
    const float *down_weight; /* (OUTLIERS, width) */
} Outliers;

/* One transformer layer. Of the last one only qkv (key and value alone) and the norms are used; see LastLayer. */
typedef struct {
    Int8Linear qkv; /* query, key and value as one layer of 3 · width outputs; query is scaled by log2(e) */
    Int8Linear attn_out, ffn_up, ffn_down;
    LayerNorm attn_norm, ffn_norm;
    Outliers outliers;
} Layer;

/* What the last layer computes for each pair's first token alone, and what follows it. */
typedef struct {
    Bf16Linear query, attn_out, ffn_up, ffn_down;
    Bf16Linear pooler;  /* weight is NULL where the student has none */
    Bf16Linear headers; /* all headers' logits as one layer */
} LastLayer;

/* A BERT. width is a multiple of 64, width / heads of 32. */
typedef struct {
    int64_t layers, width, heads, ffn_width;
    float epsilon;                        /* of every LayerNorm */
    const int8_t *word_codes;             /* (vocabulary, width) */
    const float *word_scales;             /* (vocabulary, width / 64) */
    const float *positions, *token_types; /* (rows, width) each */
    LayerNorm embedding_norm;
    const Layer *layer; /* (layers,), at any address */
    LastLayer last;
} Model;

/* Pairs of at least one token each; no padding. All pointers are to any address. */
typedef struct {
    int64_t pairs;
    const int32_t *ids, *types; /* (tokens of all pairs,) */
    const int64_t *lengths;     /* (pairs,) tokens of each pair */
} Batch;

/* TMKD_ABI and the size of each structure above, in this order. */
extern const int64_t tmkd_abi[9];

/* 2 where the encoder was compiled with AMX instructions, else 1. */
extern const int tmkd_compiled_level;

/* The level that this processor, the system and this library support: 2 AMX, 1 AVX-512 with VNNI, 0 neither. */
int tmkd_level(void);

/* Bytes of workspace that tmkd_encode needs for a batch. */
int64_t tmkd_workspace_size(const Model *model, const Batch *batch);

/* Header logits of each pair: logits (pairs, outputs of last.headers), at any address. level is 1 or 2, and at most
   tmkd_level(). ids, types and lengths are trusted: the caller checks them against the tables. */
void tmkd_encode(const Model *model, int level, const Batch *batch, void *workspace, float *logits);
