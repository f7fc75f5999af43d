/* compare_recipe.c - which tensors hurt, measured one at a time, and the recipe that follows: which bytes buy most quality.
 *
 * The texts are those of the comparison; the first 64 tokens count (cut_sens). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/compare_work.h"
#include "tui/screen/mem.h"
#include "tui/screen/num.h"

static int n_tensors(const struct tui_compare *c) { return (int)cut_gguf_head(cmp_file(c))->n_tensors; }

/* ---- the recipe as a list */

static struct cmp_recipe copy_recipe(const struct cmp_recipe *r) {
    struct cmp_recipe copy = { .n = r->n, .step = tui_alloc((size_t)r->n + 1, sizeof *r->step) };
    if (r->n) memcpy(copy.step, r->step, (size_t)r->n * sizeof *r->step);
    return copy;
}

/* The recipe as it is goes to what undo finds; the oldest is forgotten. */
static void keep_before(struct tui_compare *c) {
    enum { MOST = sizeof c->before / sizeof *c->before };
    if (c->n_before == MOST) {
        free(c->before[0].step);
        memmove(c->before, c->before + 1, (MOST - 1) * sizeof *c->before);
        c->n_before--;
    }
    c->before[c->n_before++] = copy_recipe(&c->recipe);
}

void cmp_recipe_reset(struct tui_compare *c) {
    cut_sens_free(c->sens);
    cut_imatrix_free(c->imatrix);
    free(c->preview);
    c->sens = NULL;
    c->imatrix = NULL;
    c->preview = NULL;
    c->job = CMP_REST;
    c->swaps_type = CUT_TYPE_COUNT;
    free(c->recipe.step);
    c->recipe = (struct cmp_recipe){ 0 };
    while (c->n_before) free(c->before[--c->n_before].step);
    cmp_job(c, "");
}

enum cut_type cmp_recipe_type(const struct tui_compare *c, int n, const struct cut_tensor_info *t) {
    enum cut_type type = t->n_dims > 1 && cut_tensor_fits(t, c->low) ? c->low : t->type;
    for (int i = 0; i < n; i++)
        if (c->recipe.step[i].tensor >= 0 && !strcmp(cmp_tensor(c, 0, c->recipe.step[i].tensor)->name, t->name)) type = c->recipe.step[i].type;
    return type;
}

static uint64_t bytes_in(const struct cut_tensor_info *t, enum cut_type type) {
    const struct cut_type_info *i = cut_type_info(type);
    return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3] / (uint64_t)i->block * (uint64_t)i->bytes;
}

static uint64_t size_after(const struct tui_compare *c, int n) {
    uint64_t bytes = 0;
    for (int i = 0; i < n_tensors(c); i++) {
        const struct cut_tensor_info *t = cmp_tensor(c, 0, i);
        bytes += bytes_in(t, cmp_recipe_type(c, n, t));
    }
    return bytes;
}

/* Sizes of all steps; those from `from` on need measuring. */
static void resize(struct tui_compare *c, int from) {
    for (int i = 0; i < c->recipe.n; i++) {
        c->recipe.step[i].bytes = size_after(c, i + 1);
        if (i >= from) c->recipe.step[i].measured = false;
    }
}

static void append(struct cmp_recipe *r, struct cmp_raise s) {
    r->step = tui_resize(r->step, (size_t)r->n + 1, sizeof *r->step);
    r->step[r->n++] = s;
}

/* ---- measuring */

static enum cut_status ready(struct tui_compare *c, struct cut_err *err) {
    int n = 0;
    if (c->sens) return CUT_OK;
    const int32_t *ids = c->lock ? cut_lockstep_text(c->lock, &n, NULL) : NULL;
    if (n < 2) return cut_fail(err, CUT_EUSAGE, "there is no text to measure on yet: Space runs the builds");
    struct cut_sens_opts o = { .max_tokens = 64, .tier = c->host.tier, .pool = c->host.pool };
    return cut_sens_new(&c->sens, c->host.model, ids, n, &o, err);
}

static void say_left(struct tui_compare *c, const char *what, enum cut_type type, int left, double seconds) {
    snprintf(c->said_job, sizeof c->said_job, "%s in %s: %d left", what, cut_type_info(type)->name, left);
    c->left = seconds;
}

/* The next tensor of the layer asked for that is not measured; -1: none. */
static int next_of_layer(const struct tui_compare *c, int *left) {
    char prefix[32];
    int next = -1;
    *left = 0;
    snprintf(prefix, sizeof prefix, "blk.%d.", c->swaps_layer);
    for (int i = 0; i < n_tensors(c); i++) {
        struct cut_sens_row row;
        cut_sens_get(c->sens, i, c->swaps_type, &row);
        if (strncmp(row.tensor, prefix, strlen(prefix)) || !row.fits || row.measured) continue;
        if (next < 0) next = i;
        ++*left;
    }
    return next;
}

static enum cut_status swap_slice(struct tui_compare *c, enum cut_type type, bool *done, struct cut_err *err) {
    int i = -1, left;
    double seconds = -1;
    enum cut_status st = CUT_OK;
    if (c->job == CMP_SWAPS && c->swaps_layer >= 0) {
        struct cut_sens_row row;
        i = next_of_layer(c, &left);
        if (i >= 0) st = cut_sens_measure(c->sens, i, type, &row, err);
        left -= i >= 0;
    } else {
        st = cut_sens_next(c->sens, type, &i, err);
        left = cut_sens_left(c->sens, type, &seconds);
    }
    *done = i < 0 || !left;
    say_left(c, "one tensor at a time", type, left, seconds);
    return st;
}

/* All single swaps are known: choose. */
static enum cut_status choose_recipe(struct tui_compare *c, struct cut_err *err) {
    int cap = n_tensors(c) * (c->n_better + 1), n = 0;
    struct cut_recipe_step *step = tui_alloc((size_t)cap, sizeof *step);
    uint64_t size;
    double kl;
    enum cut_status st = cut_recipe(c->sens, c->low, c->better, c->n_better, c->budget, step, cap, &n, &size, &kl, cmp_progress, c, err);
    if (!st) {
        keep_before(c);
        c->recipe.n = 0;
        append(&c->recipe, (struct cmp_raise){ .tensor = -1, .type = c->low, .kl = kl });
        for (int i = 0; i < n; i++) append(&c->recipe, (struct cmp_raise){ .tensor = step[i].tensor, .type = step[i].to, .kl = step[i].kl });
        resize(c, 0);
    }
    free(step);
    return st;
}

struct mix { const struct tui_compare *c; int n; };
static enum cut_type mix_type(void *user, const struct cut_tensor_info *t) {
    const struct mix *m = user;
    return cmp_recipe_type(m->c, m->n, t);
}

/* The last step first: it is the answer; the way there is drawn afterwards. */
static enum cut_status mix_slice(struct tui_compare *c, bool *done, struct cut_err *err) {
    int at = -1, left = 0;
    for (int i = c->recipe.n - 1; i >= 0; i--) {
        if (c->recipe.step[i].measured) continue;
        if (at != c->recipe.n - 1) at = i;
        left++;
    }
    *done = at < 0;
    if (at < 0) return CUT_OK;
    struct mix m = { c, at + 1 };
    struct cmp_raise *s = &c->recipe.step[at];
    uint64_t bytes;
    enum cut_status st = cut_sens_mix(c->sens, mix_type, &m, &s->kl, &bytes, err);
    if (st) return st;
    s->measured = true;
    snprintf(c->said_job, sizeof c->said_job, "measuring the recipe: %d left", left - 1);
    c->left = (cut_clock() - c->since) / (c->recipe.n - left + 1) * (left - 1);
    return CUT_OK;
}

enum cut_status cmp_recipe_slice(struct tui_compare *c, char said[160], struct cut_err *err) {
    bool done = false;
    enum cut_status st = ready(c, err);
    if (!st && c->job == CMP_SWAPS) {
        st = swap_slice(c, c->swaps_type, &done, err);
        if (!st && done) snprintf(said, 160, "measured: the costliest tensors stand first");
    } else if (!st && c->job == CMP_RECIPE_SWAPS) {
        double seconds, all = 0;
        int at = -1;
        for (int i = -1; i < c->n_better; i++) {
            enum cut_type type = i < 0 ? c->low : c->better[i];
            if (cut_sens_left(c->sens, type, &seconds) && at < 0) at = (int)type;
            if (seconds > 0) all += seconds;
        }
        if (at >= 0) {
            st = swap_slice(c, (enum cut_type)at, &done, err);
            c->left = all;
            done = false;
        } else {
            st = choose_recipe(c, err);
            if (!st) c->job = CMP_MIX, cmp_job(c, "measuring the recipe");
            if (!st) return CUT_OK;
        }
    } else if (!st) {
        st = mix_slice(c, &done, err);
        if (!st && done && c->recipe.n)
            snprintf(said, 160, "recipe: %d tensors raised, mean KL %.3g, measured", c->recipe.n - 1, c->recipe.step[c->recipe.n - 1].kl);
    }
    if (st || done) {
        c->job = CMP_REST;
        cmp_job(c, "");
    }
    return st;
}

/* ---- what the screen asks */

static enum cut_status start_recipe(struct tui_compare *c, const struct tui_cmp_ask *ask, const char *text, struct cut_err *err) {
    char name[16];
    uint64_t low = 0;
    c->low = (enum cut_type)ask->low;
    c->n_better = 0;
    while (c->n_better < 8 && sscanf(text, " %15s", name) == 1) {
        int type = cut_type_by_name(name);
        if (type < 0 || !cut_encodes((enum cut_type)type)) return cut_fail(err, CUT_EUSAGE, "%s is no format that can be written", name);
        c->better[c->n_better++] = (enum cut_type)type;
        text += strspn(text, " ");
        text += strlen(name);
    }
    for (int i = 0; i < n_tensors(c); i++) {
        const struct cut_tensor_info *t = cmp_tensor(c, 0, i);
        low += bytes_in(t, cut_tensor_fits(t, c->low) ? c->low : t->type);
    }
    if (low > ask->budget) {
        char a[16], b[16];
        return cut_fail(err, CUT_EUSAGE, "all tensors in %s take %s: a budget of %s is too small", cut_type_info(c->low)->name,
                        tui_bytes(low, a), tui_bytes(ask->budget, b));
    }
    c->budget = ask->budget;
    c->swaps_type = c->low;
    c->job = CMP_RECIPE_SWAPS;
    cmp_job(c, "one tensor at a time");
    return CUT_OK;
}

static enum cut_status raise(struct tui_compare *c, const struct tui_cmp_ask *ask, char said[160], struct cut_err *err) {
    const struct cut_tensor_info *t = ask->tensor >= 0 && ask->tensor < n_tensors(c) ? cmp_tensor(c, 0, ask->tensor) : NULL;
    if (!c->recipe.n || !t) return cut_fail(err, CUT_EUSAGE, "there is no recipe yet: r makes one");
    bool out = ask->type == (int)c->low;
    if (!out && !cut_tensor_fits(t, (enum cut_type)ask->type))
        return cut_fail(err, CUT_EUSAGE, "%s cannot be stored as %s", t->name, cut_type_info((uint32_t)ask->type)->name);
    keep_before(c);
    int from = c->recipe.n, n = 0;
    for (int i = 0; i < c->recipe.n; i++) {
        if (c->recipe.step[i].tensor == ask->tensor) from = from < i ? from : i;
        else c->recipe.step[n++] = c->recipe.step[i];
    }
    bool had = n < c->recipe.n;
    c->recipe.n = n;
    if (!out) append(&c->recipe, (struct cmp_raise){ .tensor = ask->tensor, .type = (enum cut_type)ask->type, .by_hand = true });
    uint64_t size = size_after(c, c->recipe.n);
    if ((out && !had) || (!out && size > c->budget)) {
        char a[16], b[16];
        free(c->recipe.step);
        c->recipe = c->before[--c->n_before];
        if (out) return cut_fail(err, CUT_EUSAGE, "%s is not raised", t->name);
        return cut_fail(err, CUT_EUSAGE, "with %s as %s it takes %s, more than the budget of %s", t->name, cut_type_info((uint32_t)ask->type)->name,
                        tui_bytes(size, a), tui_bytes(c->budget, b));
    }
    resize(c, from);
    c->job = CMP_MIX;
    cmp_job(c, "measuring the recipe");
    snprintf(said, 160, out ? "%s is back in the low format" : "raised %s", t->name);
    return CUT_OK;
}

static enum cut_status recipe_undo(struct tui_compare *c, char said[160], struct cut_err *err) {
    if (!c->n_before) return cut_fail(err, CUT_EUSAGE, "the recipe has no change to take back");
    free(c->recipe.step);
    c->recipe = c->before[--c->n_before];
    snprintf(said, 160, "the recipe's last change is undone");
    return CUT_OK;
}

static enum cut_status export(struct tui_compare *c, const char *path, char said[160], struct cut_err *err) {
    if (!c->recipe.n) return cut_fail(err, CUT_EUSAGE, "there is no recipe to write yet: r makes one");
    int n = 0;
    struct cut_recipe_step *step = tui_alloc((size_t)c->recipe.n, sizeof *step);
    for (int i = 0; i < c->recipe.n; i++) {
        const struct cmp_raise *s = &c->recipe.step[i];
        if (s->tensor < 0) continue;
        step[n++] = (struct cut_recipe_step){ .tensor = s->tensor, .name = cmp_tensor(c, 0, s->tensor)->name, .from = c->low, .to = s->type };
    }
    size_t len = cut_recipe_text(step, n, NULL, 0);
    char *text = tui_alloc(len + 1, 1);
    cut_recipe_text(step, n, text, len + 1);
    struct cut_save save;
    enum cut_status st = cut_save_open(&save, path, err);
    if (!st) {
        fwrite(text, 1, len, save.f);
        st = cut_save_close(&save, CUT_OK, err);
    }
    if (!st) snprintf(said, 160, "wrote %d --tensor-type lines to %.80s, for a base of %s", n, path, cut_type_info(c->low)->name);
    free(text);
    free(step);
    return st;
}

/* The engine reads such texts from files: a scratch file, which is gone when this returns. */
static enum cut_status collect(struct tui_compare *c, struct cut_session *s, const char *text, size_t len, struct cut_imatrix **out,
                               struct cut_err *err) {
    const struct cut_imatrix_opts o = { .output = true };
    const char *folder = getenv("TMPDIR");
    char path[4200], pattern[7] = "";
    memset(pattern, 'X', 6);
    snprintf(path, sizeof path, "%.4096s/cutaway-text-%s", folder && *folder ? folder : "/tmp", pattern);
    int fd = mkstemp(path);
    if (fd < 0) return cut_fail(err, CUT_ESYSTEM, "%.150s: cannot be made: %s", path, strerror(errno));
    bool whole = write(fd, text, len) == (ssize_t)len;
    close(fd);
    enum cut_status st = whole ? cut_imatrix_collect(out, s, path, &o, cmp_progress, c, err)
                               : cut_fail(err, CUT_ESYSTEM, "%.150s: cannot be written", path);
    unlink(path);
    return st;
}

/* What each tensor would win in the format that the first build has it in, or in q4_0, by 32 of its rows. */
static void preview(struct tui_compare *c) {
    int n = (int)cut_gguf_head(cmp_file(c))->n_tensors;
    free(c->preview);
    c->preview = tui_alloc((size_t)n, sizeof *c->preview);
    for (int i = 0; i < n; i++) {
        const struct cut_tensor_info *t = cmp_tensor(c, 0, i), *b = c->n_builds > 1 ? cmp_tensor(c, 1, i) : NULL;
        const struct cut_imatrix_entry *e = cut_imatrix_find(c->imatrix, t->name);
        struct tui_cmp_preview *p = &c->preview[i];
        double error[2];
        *p = (struct tui_cmp_preview){ .type = CUT_TYPE_COUNT };
        enum cut_type type = b && b->type != t->type ? b->type : CUT_Q4_0;
        if (!e || cut_imatrix_preview(e, t, type, 32, error, NULL)) continue;
        *p = (struct tui_cmp_preview){ type, (float)error[0], (float)error[1] };
    }
}

/* The text so far, read once more by a session of its own. */
static enum cut_status weigh_inputs(struct tui_compare *c, char said[160], struct cut_err *err) {
    const struct cut_vocab *v = cut_model_vocab(c->host.model);
    struct cut_session_opts so = { .n_ctx = 512, .kv_type = CUT_F16, .tier = c->host.tier, .pool = c->host.pool };
    struct cut_session *s = NULL;
    struct cut_imatrix *made;
    int n = 0;
    const int32_t *ids = c->lock ? cut_lockstep_text(c->lock, &n, NULL) : NULL;
    if (n < 2) return cut_fail(err, CUT_EUSAGE, "there is no text to measure on yet: Space runs the builds");
    char *text = tui_alloc((size_t)n * 64 + 1, 1);
    size_t len = 0;
    for (int i = 0; i < n; i++) len += cut_vocab_text(v, ids[i], text + len, 64);
    for (size_t i = 0; i < len;) {             /* a model that knows nothing says bytes that are no text */
        uint32_t cp;
        int bytes = cut_utf8_decode(text + i, len - i, &cp);
        if (bytes <= 0) text[i] = '?';
        i += bytes > 0 ? (size_t)bytes : 1;
    }
    cmp_job(c, "weighing the inputs of each matrix");
    enum cut_status st = cut_session_new(&s, c->host.model, &so, err);
    if (!st) st = collect(c, s, text, len, &made, err);
    cut_session_free(s);
    free(text);
    cmp_job(c, "");
    if (st) return st;
    cut_imatrix_free(c->imatrix);
    c->imatrix = made;
    preview(c);
    snprintf(said, 160, "the inputs of each matrix were weighed over %d tokens", n);
    return CUT_OK;
}

enum cut_status cmp_recipe_do(struct tui_compare *c, const struct tui_cmp_ask *ask, const char *text, char said[160],
                              struct cut_err *err) {
    switch (ask->op) {
    case TUI_CMP_SWAPS:
        c->swaps_type = (enum cut_type)ask->type;
        c->swaps_layer = ask->layer;
        c->job = CMP_SWAPS;
        cmp_job(c, "one tensor at a time");
        return CUT_OK;
    case TUI_CMP_RECIPE: return start_recipe(c, ask, text, err);
    case TUI_CMP_RAISE: return raise(c, ask, said, err);
    case TUI_CMP_RECIPE_UNDO: return recipe_undo(c, said, err);
    case TUI_CMP_IMATRIX: return weigh_inputs(c, said, err);
    case TUI_CMP_EXPORT: return export(c, text, said, err);
    default: return CUT_OK;
    }
}
