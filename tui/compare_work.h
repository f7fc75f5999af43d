/* compare_work.h - the worker's side of the comparison (see compare.h), between its files: builds and their text (compare.c),
 * single swaps, importance and the recipe (compare_recipe.c), a block as bits (compare_block.c), what is published (compare_snap.c). */
#ifndef TUI_COMPARE_WORK_H
#define TUI_COMPARE_WORK_H

#include "tui/compare.h"
#include "tui/snap.h"

/* What the worker lends, borrowed until the next host. pause is called in the middle of long calls, where progress can be
 * published; true: stop. */
struct tui_compare_host {
    const struct cut_model *model;
    struct cut_pool *pool;
    enum cut_tier tier;
    bool (*pause)(void *user);
    void *user;
};

struct cmp_edit {
    int tensor;
    int type;                  /* of a retype; -1: a poke */
    int64_t block;
    int at;
    uint8_t byte, old;
};

struct cmp_build {
    struct cut_model *file;    /* opened from disk; NULL: made from the reference */
    struct cut_model *model;   /* rebuilt; NULL: it is the file (or the reference) as it stands */
    char name[32], from[96];
    enum cut_type *type;       /* by tensor of the reference: what each is made into; NULL: as the file has it */
    enum cut_type *wanted;     /* likewise: what was asked for */
    char (*why)[112];          /* likewise: the rule of the file type that chose it; NULL: a single format */
    int n_edits, cap_edits;
    struct cmp_edit *edit;
    float *layer;              /* at layer_pos, of layer_of; see struct tui_cmp_build */
    struct cut_lockstep_op first;      /* likewise */
};

struct cmp_raise { int tensor; enum cut_type type; double kl; uint64_t bytes; bool measured, by_hand; };
struct cmp_recipe { int n; struct cmp_raise *step; };

struct tui_compare {
    struct tui_compare_host host;
    int n_builds;              /* 0: it has not begun; the first is the reference */
    struct cmp_build build[TUI_CMP_BUILDS];
    int32_t *prompt;
    int n_prompt;
    struct cut_lockstep *lock; /* NULL: to be made anew */
    bool lock_failed, done;
    int target;                /* tokens to generate, as many as were asked for */
    uint64_t seed;
    struct tui_cmp_watch watch;
    int layer_pos;             /* the builds' layer errors are of this prediction; -1: of none */
    bool layer_failed;

    struct cut_imatrix *imatrix;       /* over the text as it was when it was collected; NULL: none yet */
    struct tui_cmp_preview *preview;   /* what it would change, by tensor */
    struct cut_sens *sens;     /* NULL: to be made anew */
    enum cut_type swaps_type;
    enum { CMP_REST, CMP_SWAPS, CMP_RECIPE_SWAPS, CMP_MIX } job;
    int swaps_layer;           /* -1: all */
    enum cut_type low, better[8];
    int n_better;
    uint64_t budget;
    struct cmp_recipe recipe, before[32];      /* before: what undo goes back to */
    int n_before;

    struct tui_cmp_block *block;       /* of the watch; NULL: to be taken anew, or nothing is watched */
    bool block_failed;
    int worst_build, worst_tensor, n_worst;    /* of which tensor these are; worst_tensor -1: of none */
    struct cut_outlier worst[TUI_CMP_OUTLIERS];
    struct cut_weight_error error;
    struct cut_stats weights, errors;

    char said_job[48];
    double part, left, since;
};

struct tui_compare *tui_compare_new(void);
void tui_compare_free(struct tui_compare *c);
/* Another model, or (model NULL) none: all builds are gone. */
void tui_compare_set_host(struct tui_compare *c, const struct tui_compare_host *h);
/* The text the builds go on with, also while they are compared. Copied. */
void tui_compare_prompt(struct tui_compare *c, const int32_t *ids, int n);
enum cut_status tui_compare_do(struct tui_compare *c, const struct tui_cmp_ask *ask, const char *text, char said[160],
                               struct cut_err *err);
void tui_compare_watch(struct tui_compare *c, const struct tui_cmp_watch *w);
/* Do a little of what is left to do. What fails is given up, so that it is reported once. */
enum cut_status tui_compare_slice(struct tui_compare *c, char said[160], struct cut_err *err);
bool tui_compare_idle(const struct tui_compare *c);
/* What the screen gets, one reference for the caller; NULL: it has not begun. */
const struct tui_cmp *tui_compare_take(struct tui_compare *c);
void tui_cmp_free(const struct tui_cmp *s);        /* drops one reference; NULL is fine */

/* ---- between the files */

const struct cut_gguf *cmp_file(const struct tui_compare *c);              /* the reference's */
const struct cut_model *cmp_model(const struct tui_compare *c, int build);
/* The tensor i of the reference as a build has it; NULL: it has none of this name. */
const struct cut_tensor_info *cmp_tensor(const struct tui_compare *c, int build, int i);
/* A progress callback over the comparison: says how far the job is and how long it will take. */
bool cmp_progress(void *compare, double part, const char *what);
void cmp_job(struct tui_compare *c, const char *what);                     /* a job begins */
enum cut_status cmp_retype(struct tui_compare *c, int build, int tensor, int type, struct cut_err *err);

enum cut_status cmp_recipe_do(struct tui_compare *c, const struct tui_cmp_ask *ask, const char *text, char said[160],
                              struct cut_err *err);
enum cut_status cmp_recipe_slice(struct tui_compare *c, char said[160], struct cut_err *err);      /* while job is not CMP_REST */
void cmp_recipe_reset(struct tui_compare *c);                              /* other texts, or another model */
/* The type a tensor has in the recipe after its first n steps. */
enum cut_type cmp_recipe_type(const struct tui_compare *c, int n, const struct cut_tensor_info *t);

enum cut_status cmp_block_take(struct tui_compare *c, struct cut_err *err);
enum cut_status cmp_block_poke(struct tui_compare *c, const struct tui_cmp_ask *ask, struct cut_err *err);
enum cut_status cmp_block_poke_back(struct tui_compare *c, int build, const struct cmp_edit *e, struct cut_err *err);
void cmp_block_drop(struct tui_compare *c);

#endif
