/* compare_block.c - one block of weights, taken apart; and changed by hand. */
#include <stdlib.h>
#include <string.h>

#include "tui/compare_work.h"
#include "tui/screen/mem.h"

/* Formats of plain numbers have blocks of one; 32 of them are looked at together. */
static void shape_of(enum cut_type type, int *n, int *bytes) {
    const struct cut_type_info *i = cut_type_info(type);
    int k = i->block == 1 ? 32 : 1;
    *n = k * i->block;
    *bytes = k * i->bytes;
}

static uint64_t elements(const struct cut_tensor_info *t) { return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; }

static void free_block(struct tui_cmp_block *b) {
    if (b && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0) free(b);
}

void cmp_block_drop(struct tui_compare *c) {
    free_block(c->block);
    c->block = NULL;
    c->block_failed = false;
}

/* ---- taking it apart */

/* What the weights are, and by how much they moved: of so many as a glance may cost. */
static void distributions(struct tui_compare *c, const struct cut_tensor_info *a, const struct cut_tensor_info *b) {
    enum { MOST = 1 << 21 };
    size_t n = elements(a) < MOST ? (size_t)elements(a) : MOST;
    float *x = tui_alloc(n, sizeof *x), *y = tui_alloc(n, sizeof *y);
    cut_decode(a->type, a->data, x, n);
    cut_decode(b->type, b->data, y, n);
    for (size_t i = 0; i < n; i++) y[i] -= x[i];
    cut_tensor_stats(x, (int64_t)n, &c->weights);
    cut_tensor_stats(y, (int64_t)n, &c->errors);
    free(x);
    free(y);
}

/* The whole tensor: its error, and where outliers set the scale. Kept while the build stays as it is. */
static enum cut_status survey(struct tui_compare *c, const struct cut_tensor_info *a, const struct cut_tensor_info *b, struct cut_err *err) {
    if (c->worst_tensor == c->watch.tensor && c->worst_build == c->watch.build) return CUT_OK;
    c->n_worst = TUI_CMP_OUTLIERS;
    enum cut_status st = cut_weight_error(a, b, c->host.pool, &c->error, err);
    if (!st) st = cut_outliers(a, b, c->host.pool, c->worst, &c->n_worst, err);
    if (st) return st;
    distributions(c, a, b);
    c->worst_tensor = c->watch.tensor;
    c->worst_build = c->watch.build;
    return CUT_OK;
}

static void take_weights(struct tui_cmp_block *o, const struct cut_tensor_info *a, const struct cut_tensor_info *b) {
    float *row = tui_alloc((size_t)a->ne[0], sizeof *row), *value = tui_alloc((size_t)o->n, sizeof *value);
    const struct cut_type_info *ta = cut_type_info(a->type);
    size_t row_bytes = (size_t)(a->ne[0] / (uint64_t)ta->block * (uint64_t)ta->bytes);
    cut_decode(a->type, (const uint8_t *)a->data + (size_t)o->row * row_bytes, row, (size_t)a->ne[0]);
    memcpy(o->raw, (const uint8_t *)b->data + (size_t)o->block * (size_t)o->bytes, (size_t)o->bytes);
    cut_decode(b->type, o->raw, value, (size_t)o->n);
    for (int i = 0; i < o->n; i++) {
        o->ref[i] = o->col + i < (int64_t)a->ne[0] ? row[o->col + i] : 0;
        if (!cut_block_element(b->type, o->raw, i, &o->el[i])) o->el[i].value = value[i];
    }
    free(row);
    free(value);
}

static void take_outliers(struct tui_compare *c, struct tui_cmp_block *o, const struct cut_tensor_info *a, const struct cut_tensor_info *b) {
    o->n_outliers = o->n / 32;
    for (int g = 0; g < o->n_outliers; g++)
        if (cut_outlier_at(a, b, (uint64_t)(o->block * o->n / 32 + g), &o->outlier[g], NULL)) o->n_outliers = g;
    o->n_worst = c->n_worst;
    memcpy(o->worst, c->worst, sizeof o->worst);
    o->error = c->error;
    o->weights = c->weights;
    o->errors = c->errors;
}

static void mark_pokes(const struct tui_compare *c, struct tui_cmp_block *o) {
    const struct cmp_build *b = &c->build[o->build];
    for (int e = 0; e < b->n_edits; e++) {
        const struct cmp_edit *x = &b->edit[e];
        if (x->tensor != o->tensor) continue;
        if (x->type >= 0) memset(o->poked, 0, sizeof o->poked);
        else if (x->block == o->block) o->poked[x->at / 8] |= (uint8_t)(1 << x->at % 8);
    }
}

enum cut_status cmp_block_take(struct tui_compare *c, struct cut_err *err) {
    const struct cut_tensor_info *a = cmp_tensor(c, 0, c->watch.tensor), *b = cmp_tensor(c, c->watch.build, c->watch.tensor);
    c->block_failed = true;
    if (!b) return cut_fail(err, CUT_EUSAGE, "%s has no tensor %s", c->build[c->watch.build].name, a->name);
    enum cut_status st = survey(c, a, b, err);
    if (st) return st;
    struct tui_cmp_block *o = tui_alloc(1, sizeof *o);
    *o = (struct tui_cmp_block){ .refs = 1, .build = c->watch.build, .tensor = c->watch.tensor, .type = b->type };
    shape_of(b->type, &o->n, &o->bytes);
    o->n_blocks = (int64_t)(elements(b) / (uint64_t)o->n);
    int64_t worst = c->n_worst ? (int64_t)(c->worst[0].row * a->ne[0] + c->worst[0].col) : 0;
    o->block = (c->watch.weight < 0 ? worst : c->watch.weight) / o->n;
    if (o->block >= o->n_blocks) o->block = o->n_blocks - 1;
    if (o->n > TUI_CMP_GROUP || o->bytes > (int)sizeof o->raw || o->block < 0) {
        free(o);
        return cut_fail(err, CUT_EUSAGE, "%s: no blocks to look at", b->name);
    }
    o->row = o->block * o->n / (int64_t)a->ne[0];
    o->col = o->block * o->n % (int64_t)a->ne[0];
    take_weights(o, a, b);
    take_outliers(c, o, a, b);
    mark_pokes(c, o);
    c->block = o;
    c->block_failed = false;
    return CUT_OK;
}

/* ---- changing it */

/* Byte e->at of a block becomes e->old: the undoing of a poke, and (with the new byte there) the poke itself. */
enum cut_status cmp_block_poke_back(struct tui_compare *c, int build, const struct cmp_edit *e, struct cut_err *err) {
    const struct cut_tensor_info *t = cmp_tensor(c, build, e->tensor);
    const struct cut_type_info *i = cut_type_info(t->type);
    uint8_t block[TUI_CMP_BYTES];
    int n, bytes;
    shape_of(t->type, &n, &bytes);
    uint64_t first = (uint64_t)e->block * (uint64_t)(bytes / i->bytes) + (uint64_t)(e->at / i->bytes);
    memcpy(block, (const uint8_t *)t->data + first * (uint64_t)i->bytes, (size_t)i->bytes);
    block[e->at % i->bytes] = e->old;
    return cut_model_edit_block(c->build[build].model, t->name, first, block, NULL, err);
}
