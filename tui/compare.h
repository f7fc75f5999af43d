/* compare.h - builds of one model beside each other: what the screen asks for, and what it gets.
 *
 * A build is the open model with its weights in other formats, made in memory, or another file of the same model. The first
 * is the reference: the file as it is open. All builds read the reference's text, so that their predictions can be compared
 * token by token; from its first other choice on, a build also writes a text of its own (cut_lockstep).
 *
 * The comparison lives on the worker's thread. What takes long is cut into slices, one token or one tensor each; between
 * slices the worker answers commands and publishes what there is. */
#ifndef TUI_COMPARE_H
#define TUI_COMPARE_H

#include "engine/cutaway.h"

struct tui_token;

enum { TUI_CMP_BUILDS = CUT_LOCKSTEP_MAX, TUI_CMP_TOKENS = 64 };

/* ---- what the screen asks for */

enum tui_cmp_op {
    TUI_CMP_BEGIN,         /* text: the builds to start with, as for ADD, separated by blanks; nothing when it has begun */
    TUI_CMP_ADD,           /* text: a format, a file type, or the path of a file */
    TUI_CMP_DROP,          /* build n */
    TUI_CMP_PLAY,          /* n more tokens; 0: a pause */
    TUI_CMP_STOP,          /* what runs in the background; what it found stays */
    TUI_CMP_SWAPS,         /* swap tensors alone into the format of build n, measure, one by one; of `layer`, or -1: all */
    TUI_CMP_RETYPE,        /* build n: tensor `tensor` in format `type` (-1: the reference's) */
    TUI_CMP_POKE,          /* build n: a nibble of the watched block becomes `nibble`; two to a byte, the high one is `at` 2 i */
    TUI_CMP_UNDO,          /* of build n: the last retype or poke */
    TUI_CMP_RECIPE,        /* low format `low`, better formats of `text`, greedily within `budget` bytes */
    TUI_CMP_RAISE,         /* the recipe by hand: `tensor` to `type`; the low format takes it out again */
    TUI_CMP_RECIPE_UNDO,
    TUI_CMP_RECIPE_BUILD,  /* the recipe as a build */
    TUI_CMP_EXPORT,        /* write the recipe to the file `text` */
    TUI_CMP_IMATRIX,       /* collect over the text which inputs of each matrix matter */
    TUI_CMP_SEED,          /* n: all draw with the same random numbers, from this seed; 0: the likeliest token */
};
struct tui_cmp_ask {
    enum tui_cmp_op op;
    int n, layer, tensor, type, low, at, nibble;
    uint64_t budget;
};

/* What to look at; part of tui_watch. */
struct tui_cmp_watch {
    int pos;               /* the error through the layers for the prediction of the token here; -1: none */
    int build, tensor;     /* whose block is looked at; tensor -1: none */
    int64_t weight;        /* one in it, counted through the tensor's rows; -1: its worst outlier */
};

/* ---- what it gets */

/* One prediction: of the token at a position, from those before it. */
struct tui_cmp_point {
    float kl;              /* KL(reference || build), nats over the whole vocabulary; NAN: not measured */
    float p;               /* of the token that came */
    float p_top;           /* of the likeliest */
    bool same;             /* the likeliest is the reference's, too */
};

struct tui_cmp_build {
    char name[32];                     /* "f16", "q4_0", "q4_K_M" */
    char from[96];                     /* the path it was opened from; "": made in memory, or the open file */
    struct cut_lock_build sum;         /* size, speed, statistics */
    int at_most;                       /* position of the largest KL */
    int n_edits;                       /* retypes and pokes */
    int n_other;                       /* tensors in another format than the build is named after, for want of fitting rows */
    int parted;                        /* position of its first other choice; -1: none so far */
    int n_own;
    struct tui_token *own;             /* its own text from there on */
    bool ended;
    struct tui_cmp_point *point;       /* n_tokens of them, by position predicted */
    struct tui_token *top;             /* the likeliest token of each */
    float *layer;                      /* n_layer: |x - y| / |x| of resid_post at the watched prediction; NULL: not known */
    struct cut_lockstep_op first;      /* the first step there that is more than TUI_CMP_APART off; name "": none, or not known */
};

#define TUI_CMP_APART 0.05f

/* A matrix of the open file. */
struct tui_cmp_tensor {
    char name[64];
    int layer;                         /* -1: outside the layers */
    int64_t cols, rows;                /* rows 0: a vector, which stays as it is */
    enum cut_type type[TUI_CMP_BUILDS];        /* in each build; CUT_TYPE_COUNT: it is not there */
    enum cut_type wanted[TUI_CMP_BUILDS];      /* what the build is made of; another where the rows do not fit */
    char why[TUI_CMP_BUILDS][112];             /* of a file type: which rule chose it */
    uint64_t bytes[TUI_CMP_BUILDS];
    struct cut_sens_row swap;          /* alone in the format of swaps_type */
    bool weighed;                      /* its inputs were, by an importance matrix: */
    float uneven, top_share;           /* 0: all inputs alike, to 1: one has everything; the share of the largest hundredth */
    struct tui_cmp_preview { enum cut_type type; float without, with; } preview;   /* weighed errors in this format; CUT_TYPE_COUNT: not known */
};

struct tui_cmp_step {                  /* a line of the recipe: a tensor raised; the first is the low format alone */
    int tensor;                        /* -1: the first */
    enum cut_type type;
    uint64_t bytes;                    /* of all weights with this and all before it */
    double kl;                         /* likewise; as measured, else as foretold from single swaps */
    bool measured;
    bool by_hand;
};

enum { TUI_CMP_GROUP = 256, TUI_CMP_BYTES = 1024, TUI_CMP_OUTLIERS = 16 };
struct tui_cmp_block {
    int refs;
    int build, tensor;
    int64_t block, n_blocks;           /* in the tensor */
    int64_t row, col;                  /* of its first weight */
    enum cut_type type;
    int n, bytes;                      /* weights, bytes; of formats without blocks (f16, ..) 32 weights */
    uint8_t raw[TUI_CMP_BYTES];
    uint8_t poked[TUI_CMP_BYTES / 8];  /* bit i: byte i was changed by hand */
    float ref[TUI_CMP_GROUP];          /* the weights in the reference */
    struct cut_block_element el[TUI_CMP_GROUP];        /* n_bits 0 where the format has no layout */
    struct cut_outlier outlier[TUI_CMP_GROUP / 32];    /* of each 32 weights */
    int n_outliers;
    struct cut_outlier worst[TUI_CMP_OUTLIERS];        /* of the tensor */
    int n_worst;
    struct cut_weight_error error;     /* of the tensor */
    struct cut_stats weights, errors;  /* of the tensor's first millions of weights */
};

struct tui_cmp {
    int refs;
    int n_builds;
    struct tui_cmp_build build[TUI_CMP_BUILDS];
    int n_tokens, n_prompt;            /* the reference's text; the last token is not evaluated yet */
    struct tui_token *token;
    bool done;                         /* it has come to an end */
    int n_layer, layer_pos;            /* whose errors through the layers are shown; -1: nobody's */
    uint64_t seed;
    int to_go;                         /* tokens still to decode; 0: it pauses */

    int n_tensors;
    struct tui_cmp_tensor *tensor;
    enum cut_type swaps_type;          /* CUT_TYPE_COUNT: none yet */
    int n_swapped;                     /* measured in that type */

    int n_steps;
    struct tui_cmp_step *step;         /* the recipe */
    enum cut_type low;
    uint64_t budget;

    const struct tui_cmp_block *block; /* NULL: none watched */
    char job[48];                      /* what runs in the background; "": nothing */
    double part, left;                 /* of it: 0 to 1; seconds it will take, below 0: unknown */
};

#endif
