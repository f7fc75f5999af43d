/* compare.c - the builds and the text they read. See compare.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/compare_work.h"
#include "tui/screen/mem.h"
#include "tui/screen/num.h"

enum { MOST_TOKENS = 128 };            /* generated after the prompt */

/* ---- small things */

const struct cut_gguf *cmp_file(const struct tui_compare *c) { return cut_model_gguf(c->host.model); }

const struct cut_model *cmp_model(const struct tui_compare *c, int build) {
    const struct cmp_build *b = &c->build[build];
    return b->model ? b->model : b->file ? b->file : c->host.model;
}

const struct cut_tensor_info *cmp_tensor(const struct tui_compare *c, int build, int i) {
    const struct cut_tensor_info *t = cut_gguf_tensor(cmp_file(c), (uint64_t)i);
    return build ? cut_gguf_find_tensor(cut_model_gguf(cmp_model(c, build)), t->name) : t;
}

static int n_tensors(const struct tui_compare *c) { return (int)cut_gguf_head(cmp_file(c))->n_tensors; }

void cmp_job(struct tui_compare *c, const char *what) {
    snprintf(c->said_job, sizeof c->said_job, "%s", what);
    c->part = 0;
    c->left = -1;
    c->since = cut_clock();
}

bool cmp_progress(void *compare, double part, const char *what) {
    struct tui_compare *c = compare;
    (void)what;
    double spent = cut_clock() - c->since;
    c->part = part;
    c->left = part > 0.02 ? spent / part - spent : -1;
    return !c->host.pause(c->host.user);
}

/* ---- what follows from the builds, and goes with them */

static void drop_layers(struct tui_compare *c) {
    for (int i = 0; i < TUI_CMP_BUILDS; i++) {
        free(c->build[i].layer);
        c->build[i].layer = NULL;
    }
    c->layer_pos = -1;
    c->layer_failed = false;
}

/* The weights or the text have changed: begin the text again, up to where it was. */
static void begin_again(struct tui_compare *c) {
    cut_lockstep_free(c->lock);
    c->lock = NULL;
    c->lock_failed = c->done = false;
    drop_layers(c);
    cmp_block_drop(c);
    c->worst_tensor = -1;
}

static void drop_build(struct cmp_build *b) {
    cut_model_close(b->model);
    cut_model_close(b->file);
    free(b->type);
    free(b->wanted);
    free(b->why);
    free(b->edit);
    *b = (struct cmp_build){ 0 };
}

/* ---- a build */

struct chosen { const struct tui_compare *c; const struct cmp_build *b; };

/* The type of a tensor in a build: as asked for, or by its last retype. */
static enum cut_type choose(void *user, const struct cut_tensor_info *t) {
    const struct chosen *ch = user;
    int n = n_tensors(ch->c), i = 0;
    while (i < n && strcmp(cut_gguf_tensor(cmp_file(ch->c), (uint64_t)i)->name, t->name)) i++;
    if (i == n) return t->type;
    enum cut_type type = ch->b->type ? ch->b->type[i] : t->type;
    for (int e = 0; e < ch->b->n_edits; e++)
        if (ch->b->edit[e].tensor == i && ch->b->edit[e].type >= 0) type = (enum cut_type)ch->b->edit[e].type;
    return type;
}

/* A retype throws away what was changed by hand in that tensor before. */
static bool poke_holds(const struct cmp_build *b, int e) {
    for (int later = e + 1; later < b->n_edits; later++)
        if (b->edit[later].tensor == b->edit[e].tensor && b->edit[later].type >= 0) return false;
    return b->edit[e].type < 0;
}

/* Make the build's model anew from its types and edits. On failure it is as it was. */
static enum cut_status make(struct tui_compare *c, int build, struct cut_err *err) {
    struct cmp_build *b = &c->build[build];
    struct chosen ch = { c, b };
    struct cut_model *made, *was = b->model;
    char what[48];
    snprintf(what, sizeof what, "making %s", b->name);
    cmp_job(c, what);
    enum cut_status st = cut_model_rebuild(&made, b->file ? b->file : c->host.model, choose, &ch, c->host.pool, cmp_progress, c, err);
    cmp_job(c, "");
    if (st) return st;
    b->model = made;
    for (int e = 0; e < b->n_edits && !st; e++)
        if (poke_holds(b, e)) st = cmp_block_poke_back(c, build, &(struct cmp_edit){ b->edit[e].tensor, -1, b->edit[e].block, b->edit[e].at, 0,
                                                                                    b->edit[e].byte }, err);
    if (st) {
        cut_model_close(made);
        b->model = was;
        return st;
    }
    begin_again(c);
    cut_model_close(was);
    return CUT_OK;
}

/* One tensor of a build as its types and edits now say. Costs that tensor alone. */
static enum cut_status make_tensor(struct tui_compare *c, int build, int tensor, struct cut_err *err) {
    struct cmp_build *b = &c->build[build];
    struct chosen ch = { c, b };
    const struct cut_tensor_info *t = cmp_tensor(c, 0, tensor);
    begin_again(c);                            /* no session may stand on the model */
    enum cut_status st = cut_model_retype(b->model, t->name, choose(&ch, t), c->host.pool, err);
    for (int e = 0; e < b->n_edits && !st; e++) {
        struct cmp_edit x = b->edit[e];
        x.old = x.byte;                        /* the way back to the byte that was put there */
        if (x.tensor == tensor && poke_holds(b, e)) st = cmp_block_poke_back(c, build, &x, err);
    }
    return st;
}

static bool same_vocabulary(const struct cut_vocab *a, const struct cut_vocab *b) {
    if (cut_vocab_size(a) != cut_vocab_size(b)) return false;
    for (int i = 0; i < cut_vocab_size(a); i++)
        if (strcmp(cut_vocab_piece(a, i), cut_vocab_piece(b, i))) return false;
    return true;
}

static enum cut_status open_file(struct tui_compare *c, struct cmp_build *b, const char *path, struct cut_err *err) {
    enum cut_status st = cut_model_open(&b->file, path, 0, err);
    if (st) return st;
    const char *slash = strrchr(path, '/');
    snprintf(b->name, sizeof b->name, "%.31s", slash ? slash + 1 : path);
    snprintf(b->from, sizeof b->from, "%.95s", path);
    char *dot = strrchr(b->name, '.');
    if (dot && !strcmp(dot, ".gguf")) *dot = 0;
    if (!same_vocabulary(cut_model_vocab(b->file), cut_model_vocab(c->host.model)))
        return cut_fail(err, CUT_EUSAGE, "%.100s has another vocabulary than %s: its predictions are about other tokens", path,
                        cut_gguf_head(cmp_file(c))->name);
    return CUT_OK;
}

/* All matrices in one format; those that do not fit keep theirs. */
static enum cut_status ask_format(struct tui_compare *c, struct cmp_build *b, enum cut_type type, struct cut_err *err) {
    int n = n_tensors(c), fits = 0;
    const struct cut_type_info *info = cut_type_info(type);
    if (!cut_encodes(type)) return cut_fail(err, CUT_EUSAGE, "%s cannot be written yet", info->name);
    b->type = tui_alloc((size_t)n, sizeof *b->type);
    b->wanted = tui_alloc((size_t)n, sizeof *b->wanted);
    for (int i = 0; i < n; i++) {
        const struct cut_tensor_info *t = cmp_tensor(c, 0, i);
        bool fit = cut_tensor_fits(t, type);
        b->type[i] = fit ? type : t->type;
        b->wanted[i] = t->n_dims > 1 ? type : t->type;
        fits += fit;
    }
    snprintf(b->name, sizeof b->name, "%s", info->name);
    if (fits) return CUT_OK;
    return cut_fail(err, CUT_EUSAGE, "%s: no matrix of this model has rows of a multiple of %d", info->name, info->block);
}

/* Each matrix as a file type has it. */
static enum cut_status ask_file_type(struct tui_compare *c, struct cmp_build *b, const struct cut_file_type *type, struct cut_err *err) {
    struct cut_quantize_opts o = { .file_type = type, .force = true, .pool = c->host.pool };
    struct cut_plan plan;
    enum cut_status st = cut_quantize_plan(&plan, cmp_file(c), &o, err);
    if (st) return st;
    b->type = tui_alloc((size_t)plan.n, sizeof *b->type);
    b->wanted = tui_alloc((size_t)plan.n, sizeof *b->wanted);
    b->why = tui_alloc((size_t)plan.n, sizeof *b->why);
    for (uint64_t i = 0; i < plan.n && !st; i++) {
        const struct cut_plan_tensor *t = &plan.tensor[i];
        b->type[i] = t->type;
        b->wanted[i] = t->wanted;
        snprintf(b->why[i], sizeof b->why[i], "%.111s", t->why);
        if (t->type != t->from->type && !cut_encodes(t->type))
            st = cut_fail(err, CUT_EUSAGE, "%s wants %s for %s, which cannot be written yet", type->name, cut_type_info(t->type)->name,
                          t->from->name);
    }
    cut_plan_done(&plan);
    snprintf(b->name, sizeof b->name, "%s", type->name);
    return st;
}

/* Take b, also on failure, as the next build. */
static enum cut_status take_build(struct tui_compare *c, struct cmp_build *b, char said[160], struct cut_err *err) {
    int at = c->n_builds;
    char bytes[16];
    c->build[at] = *b;
    enum cut_status st = b->file ? CUT_OK : make(c, at, err);
    if (st) {
        drop_build(&c->build[at]);
        return st;
    }
    c->n_builds++;
    begin_again(c);
    uint64_t size = cut_model_config(cmp_model(c, at))->weight_bytes;
    snprintf(said, 160, "added %s: %s of weights%s", c->build[at].name, tui_bytes(size, bytes), b->file ? "" : ", made in memory");
    return CUT_OK;
}

static enum cut_status add(struct tui_compare *c, const char *text, char said[160], struct cut_err *err) {
    struct cmp_build b = { 0 };
    if (c->n_builds == TUI_CMP_BUILDS)
        return cut_fail(err, CUT_EUSAGE, "%d builds are the most that fit beside each other: d removes one", TUI_CMP_BUILDS);
    int type = cut_type_by_name(text);
    const struct cut_file_type *mix = cut_file_type_by_name(text);
    enum cut_status st = type >= 0 ? ask_format(c, &b, (enum cut_type)type, err) : mix ? ask_file_type(c, &b, mix, err)
                       : open_file(c, &b, text, err);
    if (!st) return take_build(c, &b, said, err);
    drop_build(&b);
    return st;
}

static enum cut_status begin(struct tui_compare *c, const char *text, char said[160], struct cut_err *err) {
    enum cut_status st = CUT_OK;
    if (c->n_builds) return CUT_OK;
    c->n_builds = 1;
    snprintf(c->build[0].name, sizeof c->build[0].name, "%s", cut_model_type_name(c->host.model));
    for (char part[64]; !st && sscanf(text, " %63s", part) == 1; text += strspn(text, " "), text += strlen(part))
        st = add(c, part, said, err);
    said[0] = 0;
    return st;
}

static enum cut_status drop(struct tui_compare *c, int n, char said[160], struct cut_err *err) {
    if (n < 1 || n >= c->n_builds) return cut_fail(err, CUT_EUSAGE, "the reference stays; Tab chooses another build");
    snprintf(said, 160, "removed %s", c->build[n].name);
    begin_again(c);
    drop_build(&c->build[n]);
    memmove(&c->build[n], &c->build[n + 1], (size_t)(c->n_builds - n - 1) * sizeof c->build[n]);
    c->build[--c->n_builds] = (struct cmp_build){ 0 };
    return CUT_OK;
}

/* ---- edits */

static struct cmp_edit *push_edit(struct cmp_build *b) {
    if (b->n_edits == b->cap_edits) {
        b->cap_edits = 2 * b->cap_edits + 8;
        b->edit = tui_resize(b->edit, (size_t)b->cap_edits, sizeof *b->edit);
    }
    return &b->edit[b->n_edits++];
}

enum cut_status cmp_retype(struct tui_compare *c, int build, int tensor, int type, struct cut_err *err) {
    if (build < 1 || build >= c->n_builds || tensor < 0 || tensor >= n_tensors(c))
        return cut_fail(err, CUT_EUSAGE, "the reference stays as it is: choose another build (Tab)");
    struct cmp_build *b = &c->build[build];
    const struct cut_tensor_info *t = cmp_tensor(c, 0, tensor);
    if (b->file) return cut_fail(err, CUT_EUSAGE, "%s comes from a file: only builds made here can change formats", b->name);
    if (type < 0) type = (int)t->type;
    if (type != (int)t->type && !cut_tensor_fits(t, (enum cut_type)type))
        return cut_fail(err, CUT_EUSAGE, "%s: rows of %u weights are no whole number of %s blocks of %d", t->name, (unsigned)t->ne[0],
                        cut_type_info((uint32_t)type)->name, cut_type_info((uint32_t)type)->block);
    *push_edit(b) = (struct cmp_edit){ .tensor = tensor, .type = type };
    enum cut_status st = b->model ? make_tensor(c, build, tensor, err) : make(c, build, err);
    if (st) b->n_edits--;
    return st;
}

static enum cut_status poke(struct tui_compare *c, const struct tui_cmp_ask *ask, struct cut_err *err) {
    if (ask->n < 1 || ask->n >= c->n_builds || !c->block || c->block->build != ask->n)
        return cut_fail(err, CUT_EUSAGE, "the reference stays as it is: choose another build (Tab)");
    struct cmp_build *b = &c->build[ask->n];
    enum cut_status st;
    if (!b->model && (st = make(c, ask->n, err))) return st;           /* a file is never written: edits go to a copy */
    if (!c->block && (st = cmp_block_take(c, err))) return st;
    int at = ask->at / 2, shift = ask->at % 2 ? 0 : 4;
    if (ask->at < 0 || at >= c->block->bytes || ask->nibble < 0 || ask->nibble > 15)
        return cut_fail(err, CUT_EUSAGE, "a block of %d bytes has no nibble %d", c->block->bytes, ask->at);
    struct cmp_edit e = { .tensor = c->block->tensor, .type = -1, .block = c->block->block, .at = at, .old = c->block->raw[at] };
    e.byte = (uint8_t)((e.old & ~(15 << shift)) | ask->nibble << shift);
    if (e.byte == e.old) return CUT_OK;
    if ((st = cmp_block_poke_back(c, ask->n, &(struct cmp_edit){ e.tensor, -1, e.block, e.at, 0, e.byte }, err))) return st;
    *push_edit(b) = e;
    begin_again(c);
    return CUT_OK;
}

static enum cut_status undo(struct tui_compare *c, int build, char said[160], struct cut_err *err) {
    if (build < 1 || build >= c->n_builds || !c->build[build].n_edits)
        return cut_fail(err, CUT_EUSAGE, "%s has no change to take back", build < c->n_builds ? c->build[build].name : "this build");
    struct cmp_build *b = &c->build[build];
    struct cmp_edit e = b->edit[--b->n_edits];
    enum cut_status st = e.type < 0 ? cmp_block_poke_back(c, build, &e, err) : make_tensor(c, build, e.tensor, err);
    if (st) b->n_edits++;
    else if (e.type < 0) begin_again(c);
    if (!st) snprintf(said, 160, "%s: the last change is undone, %d left", b->name, b->n_edits);
    return st;
}

/* ---- the text */

void tui_compare_prompt(struct tui_compare *c, const int32_t *ids, int n) {
    free(c->prompt);
    c->prompt = tui_alloc((size_t)n, sizeof *c->prompt);
    memcpy(c->prompt, ids, (size_t)n * sizeof *ids);
    c->n_prompt = n;
    c->target = 0;
    begin_again(c);
    cmp_recipe_reset(c);
}

static int n_generated(const struct tui_compare *c) {
    int n = 0, prompt = 0;
    if (c->lock) cut_lockstep_text(c->lock, &n, &prompt);
    return n - prompt;
}

static enum cut_status start_lockstep(struct tui_compare *c, struct cut_err *err) {
    const struct cut_model *m[TUI_CMP_BUILDS];
    for (int i = 0; i < c->n_builds; i++) m[i] = cmp_model(c, i);
    struct cut_lockstep_opts o = { .n_predict = MOST_TOKENS, .kv_type = CUT_F16, .tier = c->host.tier, .pool = c->host.pool };
    o.sampler = cut_sampler_defaults;
    o.sampler.seed = c->seed;
    if (!c->seed) o.sampler.temp = 0;
    return cut_lockstep_new(&c->lock, m, c->n_builds, c->prompt, c->n_prompt, &o, err);
}

/* Up to where the text was asked for; the prompt is read in any case. */
static bool text_waits(const struct tui_compare *c) {
    if (c->n_builds < 2 || !c->n_prompt || c->lock_failed || c->done) return false;
    int n = 0, prompt = 0;
    if (!c->lock) return true;
    cut_lockstep_text(c->lock, &n, &prompt);
    const struct cut_lock_token *last = cut_lockstep_token(c->lock, 0, prompt - 1);
    bool read = prompt < 2 || (last && last->scored);
    return !read || n - prompt < c->target;
}

static enum cut_status text_slice(struct tui_compare *c, struct cut_err *err) {
    enum cut_status st = c->lock ? CUT_OK : start_lockstep(c, err);
    if (!st) st = cut_lockstep_step(c->lock, &c->done, err);
    if (st) c->lock_failed = true;
    return st;
}

/* ---- the error through the layers */

static int layer_token(const struct tui_compare *c) {
    int n = 0;
    if (!c->lock || c->watch.pos < 1 || c->layer_failed) return -1;
    cut_lockstep_text(c->lock, &n, NULL);
    return c->watch.pos - 1 < n - 1 ? c->watch.pos - 1 : -1;
}

static bool layers_wait(const struct tui_compare *c) {
    return c->n_builds > 1 && layer_token(c) >= 0 && c->layer_pos != c->watch.pos;
}

static enum cut_status layers_slice(struct tui_compare *c, struct cut_err *err) {
    int i = layer_token(c), pos = c->watch.pos, first;
    drop_layers(c);
    for (int k = 1; k < c->n_builds; k++) {
        float *error = tui_alloc((size_t)cut_model_config(c->host.model)->n_layer, sizeof *error);
        enum cut_status st = cut_lockstep_layers(c->lock, k, i, TUI_CMP_APART, error, &first, err);
        c->build[k].first = (struct cut_lockstep_op){ "", 0 };
        if (!st) st = cut_lockstep_first(c->lock, k, i, TUI_CMP_APART, &c->build[k].first, err);
        if (st == CUT_EUSAGE) {                /* another shape: it has no layers to compare with ours */
            free(error);
        } else if (st) {
            free(error);
            c->layer_failed = true;
            return st;
        } else {
            c->build[k].layer = error;
        }
    }
    c->layer_pos = pos;
    return CUT_OK;
}

/* ---- the worker's calls */

struct tui_compare *tui_compare_new(void) {
    struct tui_compare *c = tui_alloc(1, sizeof *c);
    c->watch = (struct tui_cmp_watch){ .pos = -1, .tensor = -1, .weight = -1 };
    c->layer_pos = c->worst_tensor = -1;
    c->swaps_type = CUT_TYPE_COUNT;
    return c;
}

static void drop_all(struct tui_compare *c) {
    begin_again(c);
    cmp_recipe_reset(c);
    for (int i = 0; i < TUI_CMP_BUILDS; i++) drop_build(&c->build[i]);
    c->n_builds = 0;
    free(c->prompt);
    c->prompt = NULL;
    c->n_prompt = c->target = 0;
}

void tui_compare_free(struct tui_compare *c) {
    if (!c) return;
    drop_all(c);
    free(c);
}

void tui_compare_set_host(struct tui_compare *c, const struct tui_compare_host *h) {
    drop_all(c);
    c->host = *h;
}

void tui_compare_watch(struct tui_compare *c, const struct tui_cmp_watch *w) {
    if (w->build != c->watch.build || w->tensor != c->watch.tensor || w->weight != c->watch.weight) cmp_block_drop(c);
    if (w->pos != c->watch.pos) c->layer_failed = false;
    c->watch = *w;
}

static void stop(struct tui_compare *c, char said[160]) {
    bool playing = text_waits(c);
    c->target = n_generated(c);
    if (c->job != CMP_REST) snprintf(said, 160, "stopped; what was measured stays");
    else if (playing) snprintf(said, 160, "paused after %d tokens", n_generated(c));
    c->job = CMP_REST;
    cmp_job(c, "");
}

enum cut_status tui_compare_do(struct tui_compare *c, const struct tui_cmp_ask *ask, const char *text, char said[160],
                               struct cut_err *err) {
    if (!c->host.model) return cut_fail(err, CUT_EUSAGE, "no model is open: :open FILE");
    switch (ask->op) {
    case TUI_CMP_BEGIN: return begin(c, text, said, err);
    case TUI_CMP_ADD: return add(c, text, said, err);
    case TUI_CMP_DROP: return drop(c, ask->n, said, err);
    case TUI_CMP_PLAY:
        c->lock_failed = false;
        c->target = ask->n ? n_generated(c) + ask->n : n_generated(c);
        if (c->target > MOST_TOKENS) c->target = MOST_TOKENS;
        return CUT_OK;
    case TUI_CMP_STOP: return stop(c, said), CUT_OK;
    case TUI_CMP_RETYPE: return cmp_retype(c, ask->n, ask->tensor, ask->type, err);
    case TUI_CMP_POKE: return poke(c, ask, err);
    case TUI_CMP_UNDO: return undo(c, ask->n, said, err);
    case TUI_CMP_SEED:
        c->seed = (uint64_t)ask->n;
        begin_again(c);
        snprintf(said, 160, ask->n ? "all builds draw with the same random numbers, seed %d" : "all builds take the likeliest token", ask->n);
        return CUT_OK;
    case TUI_CMP_RECIPE_BUILD: {
        struct cmp_build b = { .name = "recipe" };
        if (c->n_builds == TUI_CMP_BUILDS)
            return cut_fail(err, CUT_EUSAGE, "%d builds are the most that fit beside each other: d removes one", TUI_CMP_BUILDS);
        if (!c->recipe.n) return cut_fail(err, CUT_EUSAGE, "there is no recipe yet: r makes one");
        b.type = tui_alloc((size_t)n_tensors(c), sizeof *b.type);
        for (int i = 0; i < n_tensors(c); i++) b.type[i] = cmp_recipe_type(c, c->recipe.n, cmp_tensor(c, 0, i));
        return take_build(c, &b, said, err);
    }
    default: return cmp_recipe_do(c, ask, text, said, err);
    }
}

static bool block_waits(const struct tui_compare *c) {
    return !c->block && !c->block_failed && c->watch.tensor >= 0 && c->watch.build < c->n_builds;
}

bool tui_compare_idle(const struct tui_compare *c) {
    return !c->n_builds || (!block_waits(c) && !text_waits(c) && !layers_wait(c) && c->job == CMP_REST);
}

/* What is looked at comes first, then the text, then what takes long. */
enum cut_status tui_compare_slice(struct tui_compare *c, char said[160], struct cut_err *err) {
    if (block_waits(c)) return cmp_block_take(c, err);
    if (text_waits(c)) return text_slice(c, err);
    if (layers_wait(c)) return layers_slice(c, err);
    if (c->job != CMP_REST) return cmp_recipe_slice(c, said, err);
    return CUT_OK;
}
