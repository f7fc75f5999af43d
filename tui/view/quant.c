/* quant.c - quantizations beside each other: state, keys, layout. What is computed comes from the worker (tui/compare.h). */
#include "tui/view/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/strip.h"

/* ---- what is looked at */

const struct tui_cmp *quant_cmp(const struct quant_view *v) { return tui_app_snap(v->app)->cmp; }

const struct tui_cmp_build *quant_build(const struct quant_view *v) {
    const struct tui_cmp *c = quant_cmp(v);
    return c && v->build > 0 && v->build < c->n_builds ? &c->build[v->build] : NULL;
}

int quant_pos(const struct quant_view *v) {
    const struct tui_cmp *c = quant_cmp(v);
    if (!c || c->n_tokens < 2) return 0;
    return v->follow || v->pos >= c->n_tokens ? c->n_tokens - 1 : v->pos;
}

int quant_tensor(const struct quant_view *v) {
    const struct tui_cmp *c = quant_cmp(v);
    if (!c) return -1;
    if (v->focus == QUANT_TENSORS && v->tensors.cursor < v->n_order) return v->order[v->tensors.cursor];
    if (v->focus == QUANT_RECIPE && v->recipe.cursor < c->n_steps) return c->step[v->recipe.cursor].tensor;
    return v->tensor < c->n_tensors ? v->tensor : -1;
}

struct tui_area quant_pane(struct quant_view *v, struct tui_area a, enum quant_panel p, const char *title, const char *right) {
    v->area[p] = a;
    return tui_pane(a, title, right, v->focus == p);
}

void quant_post(struct quant_view *v, struct tui_cmp_ask ask, const char *text) {
    tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_COMPARE, .cmp = ask, .text = text });
}

/* Tell the worker what we look at. The error through the layers takes two passes: only where it is seen. */
static void watch(struct quant_view *v) {
    struct tui_watch *w = tui_app_watch(v->app);
    struct tui_cmp_watch now = { .pos = -1, .build = v->build, .tensor = v->tensor, .weight = v->weight };
    if ((v->area[QUANT_LAYERS].w || v->focus == QUANT_LAYERS) && quant_pos(v) > 0) now.pos = quant_pos(v);
    if (w->cmp.pos == now.pos && w->cmp.build == now.build && w->cmp.tensor == now.tensor && w->cmp.weight == now.weight) return;
    w->cmp = now;
    tui_app_watch_changed(v->app);
}

static unsigned looked(struct quant_view *v) {
    const struct tui_snap *s = tui_app_snap(v->app);
    snprintf(v->read, sizeof v->read, "%s", s->err.code ? s->err.msg : s->said);
    watch(v);
    return TUI_HANDLED | TUI_REDRAW;
}

static void focus(struct quant_view *v, enum quant_panel p) {
    v->focus = p;
    if (p == QUANT_LAYERS || p == QUANT_TENSORS || p == QUANT_FALLBACKS || p == QUANT_IMATRIX) v->left = p;
}

/* ---- keys: builds and their text */

static unsigned key_run(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    if (!c) return TUI_HANDLED;
    if (!c->n_prompt) tui_app_ask_prompt(v->app);
    else if (c->n_builds < 2) tui_app_say(v->app, TUI_TEXT, "a adds a build to compare with");
    else if (c->done) tui_app_say(v->app, TUI_TEXT, "the text has come to its end; o types another prompt");
    else if (key == '.') quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_PLAY, .n = 1 }, NULL);
    else quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_PLAY, .n = c->to_go ? 0 : 1 << 20 }, NULL);
    v->follow = true;
    return looked(v);
}

static unsigned key_add(void *self, int key) {
    (void)key;
    quant_menu_open(self, QUANT_MENU_ADD);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_drop(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    int tensor = quant_tensor(v);
    (void)key;
    if (v->focus == QUANT_RECIPE && tensor >= 0)
        quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_RAISE, .tensor = tensor, .type = (int)c->low }, NULL);
    else quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_DROP, .n = v->build }, NULL);
    return TUI_HANDLED;
}

static unsigned key_build(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    if (!c || c->n_builds < 2) return TUI_HANDLED;
    int n = c->n_builds - 1;
    v->build = 1 + (v->build - 1 + (key == ']' ? 1 : n - 1)) % n;
    v->picked = true;
    return looked(v);
}

/* To the next prediction that the build and the reference disagree on. After a search, n means the next match. */
static unsigned key_next(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_build *b = quant_build(v);
    if (v->focus == QUANT_TENSORS) return 0;
    int by = key == 'n' ? 1 : -1, at = v->follow ? by > 0 ? 0 : c ? c->n_tokens : 0 : quant_pos(v);
    if (!b || !b->point) return TUI_HANDLED;
    for (at += by; at > 0 && at < c->n_tokens; at += by) {
        if (isnan(b->point[at].kl) || b->point[at].same) continue;
        v->pos = at;
        v->follow = false;
        return looked(v);
    }
    tui_app_say(v->app, TUI_TEXT, "no %s token where %s would say something else", by > 0 ? "later" : "earlier", b->name);
    return TUI_HANDLED | TUI_REDRAW;
}

static void accept_seed(void *user, const char *text) {
    struct quant_view *v = user;
    char *end;
    long seed = strtol(text, &end, 10);
    if (!*text || *end || seed < 0 || seed > INT32_MAX) tui_app_say(v->app, TUI_BAD, "seed %.20s: a number from 0 to 2147483647 is needed", text);
    else quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_SEED, .n = (int)seed }, NULL);
}

static unsigned key_seed(void *self, int key) {
    struct quant_view *v = self;
    (void)key;
    tui_app_ask(v->app, "seed> ", "", "the same random numbers for all builds; 0: no chance, the likeliest token", accept_seed, v);
    return TUI_HANDLED;
}

/* ---- keys: panels */

static unsigned key_panel(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    if (!c) return TUI_HANDLED;
    if (key == 't') {
        v->layer = -1;
        focus(v, QUANT_TENSORS);
        if (c->n_builds > 1)
            quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_SWAPS, .type = (int)quant_main_type(c, v->build), .layer = -1 }, NULL);
    } else if (key == 'B') {
        if (quant_tensor(v) >= 0) v->tensor = quant_tensor(v);
        for (int i = 0; v->tensor < 0 && i < c->n_tensors; i++)        /* the last is mostly a large matrix of a layer */
            if (c->tensor[i].rows && c->tensor[i].layer >= 0) v->tensor = i;
        if (v->focus == QUANT_TENSORS) v->weight = -1;
        focus(v, QUANT_BITS);
    } else if (key == 'i') {
        focus(v, QUANT_IMATRIX);
        quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_IMATRIX }, NULL);
    } else if (key == 'H') {
        v->histogram = !v->histogram || v->focus != QUANT_BITS;
        if (v->focus != QUANT_BITS) return key_panel(self, 'B');
    } else {
        focus(v, key == 'p' ? QUANT_PARETO : QUANT_FALLBACKS);
    }
    return looked(v);
}

static unsigned key_try(void *self, int key) {
    struct quant_view *v = self;
    (void)key;
    if (quant_tensor(v) < 0) tui_app_say(v->app, TUI_TEXT, "choose a tensor first: t lists them");
    else quant_menu_open(v, QUANT_MENU_TYPE);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_edit(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    (void)key;
    if (!c || !c->block || v->focus != QUANT_BITS) {
        key_panel(self, 'B');
        tui_app_say(v->app, TUI_TEXT, "these are the bits: E again edits them");
        return TUI_HANDLED | TUI_REDRAW;
    }
    v->histogram = false;
    v->editing = true;
    const struct cut_block_element *e = &c->block->el[v->elements.cursor < c->block->n ? v->elements.cursor : 0];
    v->nibble = e->n_bits ? 2 * e->bits[0].byte + (e->bits[0].bit < 4) : 0;
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_undo(void *self, int key) {
    struct quant_view *v = self;
    (void)key;
    quant_post(v, (struct tui_cmp_ask){ .op = v->focus == QUANT_RECIPE ? TUI_CMP_RECIPE_UNDO : TUI_CMP_UNDO, .n = v->build }, NULL);
    return TUI_HANDLED;
}

/* ---- keys: the recipe */

/* The better formats a recipe may choose from: two that can be written, of more bits than the low one. */
static void better_than(enum cut_type low, char out[64]) {
    static const enum cut_type from[] = { CUT_Q6_K, CUT_Q8_0, CUT_F16 };
    const struct cut_type_info *l = cut_type_info(low);
    int n = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof from / sizeof *from && n < 2; i++) {
        const struct cut_type_info *b = cut_type_info(from[i]);
        if (!cut_encodes(from[i]) || b->bytes * l->block <= l->bytes * b->block) continue;
        snprintf(out + strlen(out), 64 - strlen(out), "%s ", b->name);
        n++;
    }
}

static void accept_budget(void *user, const char *text) {
    struct quant_view *v = user;
    const struct tui_cmp *c = quant_cmp(v);
    char better[64];
    uint64_t budget = c ? quant_parse_budget(text, c->build[0].sum.bytes) : 0;
    if (!budget) {
        tui_app_say(v->app, TUI_BAD, "budget %.30s: a size like 3.2, 900KiB or 60%% is needed", text);
        return;
    }
    v->budget = budget;
    enum cut_type low = quant_main_type(c, v->build);
    better_than(low, better);
    focus(v, QUANT_RECIPE);
    quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_RECIPE, .low = (int)low, .budget = budget }, better);
}

static unsigned key_recipe(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_build *b = quant_build(v);
    char text[32];
    (void)key;
    if (!b) {
        tui_app_say(v->app, TUI_TEXT, "a recipe starts from a low format: a adds a build in it");
        return TUI_HANDLED | TUI_REDRAW;
    }
    double lo = (double)b->sum.bytes, hi = (double)c->build[0].sum.bytes;
    snprintf(text, sizeof text, "%.2f", (v->budget ? (double)v->budget : lo + (hi - lo) / 4) / 1048576);
    tui_app_ask(v->app, "size, MiB> ", text, "the budget; or 900KiB, or a share of the reference: 40%", accept_budget, v);
    return TUI_HANDLED;
}

static unsigned key_raise(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    int tensor = quant_tensor(v), type = CUT_Q8_0;
    if (!c || tensor < 0) {
        tui_app_say(v->app, TUI_TEXT, "choose a tensor first: t lists them");
        return TUI_HANDLED | TUI_REDRAW;
    }
    quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_RAISE, .tensor = tensor, .type = key == '+' ? type : (int)c->low }, NULL);
    return TUI_HANDLED;
}

static void accept_export(void *user, const char *text) {
    if (*text) quant_post(user, (struct tui_cmp_ask){ .op = TUI_CMP_EXPORT }, text);
}

static unsigned key_file(void *self, int key) {
    struct quant_view *v = self;
    if (key == 'b') quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_RECIPE_BUILD }, NULL);
    else tui_app_ask(v->app, "file> ", "recipe.txt", "a --tensor-type line for each raised tensor; Esc leaves", accept_export, v);
    return TUI_HANDLED;
}

/* ---- keys: deeper, and back */

/* From the token to the layer, from there to its tensors, from a tensor to the block whose outlier does most harm. */
static unsigned key_enter(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_build *b = quant_build(v);
    (void)key;
    if (!c || !b) return TUI_HANDLED;
    if (v->focus == QUANT_TEXTS) {
        if (v->follow && b->parted > 0) v->pos = b->parted, v->follow = false;
        focus(v, QUANT_LAYERS);
        if (b->layer) v->layers.cursor = quant_jump(b->layer, c->n_layer);
    } else if (v->focus == QUANT_LAYERS) {
        v->layer = v->layers.cursor;
        v->tensors.cursor = v->tensors.top = 0;
        focus(v, QUANT_TENSORS);
        quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_SWAPS, .type = (int)quant_main_type(c, v->build), .layer = v->layer }, NULL);
    } else if (v->focus == QUANT_TENSORS || v->focus == QUANT_RECIPE) {
        if (quant_tensor(v) < 0) return TUI_HANDLED;
        v->tensor = quant_tensor(v);
        v->weight = -1;
        v->elements.cursor = 0;
        v->histogram = false;
        focus(v, QUANT_BITS);
    }
    return looked(v);
}

static unsigned key_pane(void *self, int key) {
    struct quant_view *v = self;
    static const enum quant_panel order[] = { QUANT_TEXTS, QUANT_LAYERS, QUANT_TENSORS, QUANT_BITS, QUANT_RECIPE, QUANT_PARETO };
    enum { N = sizeof order / sizeof *order };
    int at = 0;
    for (int i = 0; i < N; i++)
        if (order[i] == v->focus) at = i;
    focus(v, order[(at + (key == TUI_KEY_TAB ? 1 : N - 1)) % N]);
    return looked(v);
}

/* The next worst outlier of the tensor. */
static unsigned key_outlier(void *self, int key) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_block *b = c ? c->block : NULL;
    if (!b || !b->n_worst) return TUI_HANDLED;
    int at = -1;
    for (int i = 0; i < b->n_worst && at < 0; i++)
        if ((int64_t)b->worst[i].row == b->row && (int64_t)b->worst[i].col / b->n == b->col / b->n) at = i;
    at = key == '>' ? at + 1 < b->n_worst ? at + 1 : 0 : at > 0 ? at - 1 : b->n_worst - 1;
    const struct cut_outlier *o = &b->worst[at];
    int64_t first = (int64_t)o->row * c->tensor[b->tensor].cols + (int64_t)o->col;
    v->weight = first;
    v->elements.cursor = (int)(first % b->n) + o->at;
    focus(v, QUANT_BITS);
    return looked(v);
}

static const struct tui_key keys[] = {
    { ' ', "run", "all builds go on; or pause", key_run },
    { '.', "token", "one more token", key_run },
    { 'a', "add", "a build: a format, or a file", key_add },
    { 'd', "drop", "remove the build", key_drop },
    { TUI_KEY_DELETE, NULL, NULL, key_drop },
    { ']', "build", "look at the next build", key_build },
    { '[', NULL, NULL, key_build },
    { 'n', "differs", "next, previous other choice", key_next },
    { 'N', NULL, NULL, key_next },
    { TUI_KEY_ENTER, "why", "layer, tensor, block; Esc: back", key_enter },
    { 't', "tensors", "swap one at a time, measure", key_panel },
    { 'B', "bits", "a block of weights as bits", key_panel },
    { 'r', "recipe", "the best within a size", key_recipe },
    { 'p', "Pareto", "size against quality", key_panel },
    { 'E', "edit", "change a nibble of the block", key_edit },
    { 'T', "try", "another format for a tensor", key_try },
    { 'u', "undo", "take back the last change", key_undo },
    { 'H', "histogram", "weights and errors of the tensor", key_panel },
    { '>', "outlier", "the next that does most harm", key_outlier },
    { '<', NULL, NULL, key_outlier },
    { 'F', "formats", "why each tensor has its format", key_panel },
    { 'i', "imatrix", "which inputs matter", key_panel },
    { '+', "raise", "the tensor in the recipe, or not", key_raise },
    { '-', NULL, NULL, key_raise },
    { 'b', "build it", "the recipe as a build", key_file },
    { 'e', "export", "write the recipe to a file", key_file },
    { 's', "seed", "draw tokens, all alike", key_seed },
    { TUI_KEY_TAB, "pane", "next, previous pane", key_pane },
    { TUI_KEY_BACKTAB, NULL, NULL, key_pane },
};

/* ---- keys that no table lists */

static unsigned move_text(struct quant_view *v, int key) {
    const struct tui_cmp *c = quant_cmp(v);
    if (!c || c->n_tokens < 2) return 0;
    struct tui_list l = { .n = c->n_tokens - 1, .cursor = quant_pos(v) - 1 };
    key = tui_key_move(key);
    if (key == TUI_KEY_LEFT || key == TUI_KEY_RIGHT) key = key == TUI_KEY_LEFT ? TUI_KEY_UP : TUI_KEY_DOWN;
    else if (key == TUI_KEY_UP || key == TUI_KEY_DOWN) key = key == TUI_KEY_UP ? TUI_KEY_PAGE_UP : TUI_KEY_PAGE_DOWN;
    if (!tui_list_key(&l, key, 12)) return 0;
    v->pos = l.cursor + 1;
    v->follow = false;
    return looked(v);
}

static unsigned move_bits(struct quant_view *v, int key) {
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_block *b = c ? c->block : NULL;
    if (!b) return 0;
    int step = tui_key_move(key);
    if (step == TUI_KEY_LEFT || step == TUI_KEY_RIGHT) {
        int64_t to = b->block + (step == TUI_KEY_RIGHT ? 1 : -1);
        if (to < 0 || to >= b->n_blocks) return TUI_HANDLED;
        v->weight = to * b->n;
        return looked(v);
    }
    return tui_list_key(&v->elements, key, 8) ? looked(v) : 0;
}

/* Over the map of importance. */
static unsigned move_map(struct quant_view *v, int key) {
    int step = tui_key_move(key);
    if (step == TUI_KEY_DOWN && v->kind_at < 6) v->kind_at++;
    else if (step == TUI_KEY_UP && v->kind_at > 0) v->kind_at--;
    else if (step == TUI_KEY_RIGHT) v->layer_at++;         /* drawing keeps it among the layers */
    else if (step == TUI_KEY_LEFT && v->layer_at > 0) v->layer_at--;
    else return 0;
    return looked(v);
}

static unsigned move(struct quant_view *v, int key) {
    if (v->focus == QUANT_IMATRIX) return move_map(v, key);
    struct tui_list *l = v->focus == QUANT_LAYERS ? &v->layers : v->focus == QUANT_TENSORS ? &v->tensors
                       : v->focus == QUANT_RECIPE ? &v->recipe : v->focus == QUANT_FALLBACKS ? &v->fallbacks : NULL;
    if (v->focus == QUANT_BITS) return move_bits(v, key);
    int step = tui_key_move(key);
    bool sideways = step == TUI_KEY_LEFT || step == TUI_KEY_RIGHT;
    if (!l || (v->focus == QUANT_LAYERS && sideways)) return move_text(v, key);
    return tui_list_key(l, key, v->area[v->focus].h - 3) ? looked(v) : 0;
}

/* While the nibble has the keys. */
static void edit_key(struct quant_view *v, int key) {
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_block *b = c ? c->block : NULL;
    int step = tui_key_move(key), value = -1, now;
    if (key == TUI_KEY_ESC || key == TUI_KEY_ENTER || key == 'E' || !b) {
        v->editing = false;
        return;
    }
    now = v->nibble % 2 ? b->raw[v->nibble / 2] & 15 : b->raw[v->nibble / 2] >> 4;
    if (key >= '0' && key <= '9') value = key - '0';
    else if (key >= 'a' && key <= 'f') value = key - 'a' + 10;
    else if (key >= 'A' && key <= 'F') value = key - 'A' + 10;
    else if (key == '+' && now < 15) value = now + 1;
    else if (key == '-' && now > 0) value = now - 1;
    else if (key == 'u') quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_UNDO, .n = v->build }, NULL);
    else if (step == TUI_KEY_RIGHT && v->nibble + 1 < 2 * b->bytes) v->nibble++;
    else if (step == TUI_KEY_LEFT && v->nibble > 0) v->nibble--;
    else if (step == TUI_KEY_DOWN && v->nibble + 32 < 2 * b->bytes) v->nibble += 32;
    else if (step == TUI_KEY_UP && v->nibble >= 32) v->nibble -= 32;
    if (value >= 0) quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_POKE, .n = v->build, .at = v->nibble, .nibble = value }, NULL);
}

static void back(struct quant_view *v) {
    const struct tui_cmp *c = quant_cmp(v);
    if (c && (c->job[0] || c->to_go)) quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_STOP }, NULL);
    else if (v->histogram && v->focus == QUANT_BITS) v->histogram = false;
    else if (v->focus == QUANT_BITS) focus(v, QUANT_TENSORS);
    else if (v->focus == QUANT_TENSORS && v->layer >= 0) v->layer = -1, focus(v, QUANT_LAYERS);
    else if (v->focus != QUANT_TEXTS) focus(v, QUANT_TEXTS);
    else v->follow = true;
}

static unsigned any_key(void *self, int key) {
    struct quant_view *v = self;
    if (v->menu) quant_menu_key(v, key);
    else if (v->editing) edit_key(v, key);
    else if (key == TUI_KEY_ESC) back(v);
    else return move(v, key);
    return looked(v);
}

static bool modal(void *self) {
    struct quant_view *v = self;
    return v->menu || v->editing;
}

static unsigned mouse(void *self, int x, int y, int button) {
    struct quant_view *v = self;
    y += 1;                                    /* areas are in screen coordinates; the view starts at row 1 */
    if (v->menu || v->editing) return 0;
    for (int p = 0; p < QUANT_PANELS; p++) {
        struct tui_area a = v->area[p];
        if (x >= a.x && x < a.x + a.w && y >= a.y && y < a.y + a.h) focus(v, (enum quant_panel)p);
    }
    if (button > 1) move(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    return looked(v);
}

/* A part of a tensor's name. */
static bool find(void *self, const char *text, int direction) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    quant_order_tensors(v);
    for (int k = 1; c && k <= v->n_order; k++) {
        int i = ((v->tensors.cursor + direction * k) % v->n_order + v->n_order) % v->n_order;
        if (!strstr(c->tensor[v->order[i]].name, text)) continue;
        focus(v, QUANT_TENSORS);
        v->tensors.cursor = i;
        return true;
    }
    return false;
}

/* ---- layout */

/* The first time: the formats to begin with, as many as there is room for; not the one the file is in. */
static void begin(struct quant_view *v, int w) {
    static const enum cut_type first[] = { CUT_Q8_0, CUT_Q4_0 };
    const struct tui_snap *s = tui_app_snap(v->app);
    char formats[64] = "";
    if (!s->list || s->cmp || v->begun == s->list) return;
    v->begun = s->list;
    for (int i = w >= 120 ? 0 : 1; i < 2; i++) {
        const char *name = cut_type_info(first[i])->name;
        if (!strcmp(name, s->list->type)) name = cut_type_info(first[!i])->name;
        if (!strstr(formats, name)) snprintf(formats + strlen(formats), sizeof formats - strlen(formats), "%s ", name);
    }
    quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_BEGIN }, formats);
}

static void draw_panel(struct quant_view *v, enum quant_panel p, struct tui_area a) {
    switch (p) {
    case QUANT_TEXTS: case QUANT_TENSORS: quant_draw_tensors(v, a); break;
    case QUANT_LAYERS: quant_draw_layers(v, a); break;
    case QUANT_BITS: quant_draw_bits(v, a); break;
    case QUANT_RECIPE: quant_draw_recipe(v, a); break;
    case QUANT_PARETO: quant_draw_pareto(v, a); break;
    case QUANT_FALLBACKS: quant_draw_fallbacks(v, a); break;
    case QUANT_IMATRIX: quant_draw_imatrix(v, a); break;
    case QUANT_PANELS: break;
    }
}

static void draw_narrow(struct quant_view *v, struct tui_area a) {
    bool texts = v->focus == QUANT_TEXTS;
    quant_draw_texts(v, tui_cut_top(&a, texts ? a.h - 13 : 5));
    if (texts) quant_draw_bars(v, tui_cut_top(&a, 6));
    draw_panel(v, v->focus, a);
}

static void draw_wide(struct quant_view *v, struct tui_area a) {
    quant_draw_texts(v, tui_cut_top(&a, a.h >= 42 ? 9 : 7));
    struct tui_area middle = tui_cut_top(&a, a.h >= 32 ? 14 : 11), right;
    quant_draw_pareto(v, tui_cut_right(&middle, middle.w >= 150 ? 54 : 40));
    quant_draw_strips(v, middle);
    right = tui_cut_right(&a, a.w / 2);
    draw_panel(v, v->left, a);
    if (v->focus == QUANT_BITS) quant_draw_bits(v, right);
    else if (v->focus == QUANT_RECIPE && right.h < 20) quant_draw_recipe(v, right);
    else {
        quant_draw_bits(v, tui_cut_top(&right, right.h / 2 + 1));
        quant_draw_recipe(v, right);
    }
}

static void draw_nothing(struct quant_view *v, struct tui_area a) {
    const struct tui_snap *s = tui_app_snap(v->app);
    struct tui_area in = tui_pane(a, "quantizations beside each other", NULL, true);
    in = tui_part(in, 2, 1, in.w - 4, in.h - 2);
    if (!s->list) tui_text_wrap(in, 0, TUI_DIM, "No model is open. :open FILE opens one.");
}

static void draw(void *self, struct tui_area a) {
    struct quant_view *v = self;
    const struct tui_cmp *c = quant_cmp(v);
    struct tui_area whole = a;
    begin(v, a.w);
    memset(v->area, 0, sizeof v->area);
    if (c && (!v->picked || v->build >= c->n_builds)) v->build = c->n_builds - 1;
    if (!c) draw_nothing(v, a);
    else if (a.w >= 120 && a.h >= 33) draw_wide(v, a);
    else draw_narrow(v, a);
    if (c && v->menu) quant_menu_draw(v, whole);
    watch(v);
}

/* ---- the status row: what goes on, what went wrong, what the cursor is on */

static void status_token(const struct quant_view *v, const struct tui_cmp *c, struct tui_area row) {
    const struct tui_cmp_build *b = quant_build(v);
    int pos = quant_pos(v);
    char t1[64], t2[64], n1[16], n2[16], n3[16];
    if (!c->n_prompt) { tui_text(row, 0, 0, TUI_TEXT, "o types a prompt for all builds to go on with"); return; }
    if (!b || !pos || !b->point || isnan(b->point[pos].kl)) return;
    const struct tui_cmp_point *p = &b->point[pos];
    if (v->follow && b->parted >= 0 && !c->to_go) {
        tui_textf(row, 0, 0, TUI_WARN, "token %d: %s left the %s path.  Enter: why", b->parted, b->name, c->build[0].name);
        return;
    }
    int x = tui_textf(row, 0, 0, TUI_TEXT, "token %d: %s says \"%s\" %s", pos, c->build[0].name, tui_token_label(&c->build[0].top[pos], t1),
                      tui_num(c->build[0].point[pos].p_top, 4, n1));
    x = tui_textf(row, x, 0, p->same ? TUI_TEXT : TUI_BAD | TUI_BOLD, ", %s \"%s\" %s", b->name, tui_token_label(&b->top[pos], t2),
                  tui_num(p->p_top, 4, n2));
    tui_textf(row, x, 0, TUI_DIM, "   KL %s", tui_num(p->kl, 7, n3));
}

static void status(void *self, struct tui_area row) {
    struct quant_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_cmp *c = s->cmp;
    char left[32] = "";
    if (c && c->job[0]) {
        if (tui_app_times(v->app) && c->left >= 0.5) snprintf(left, sizeof left, "  about %.0f s left", c->left);
        if (c->part > 0 && tui_app_times(v->app)) tui_textf(row, 0, 0, TUI_WARN, "%s  %.0f %%%s   Esc stops", c->job, 100 * c->part, left);
        else tui_textf(row, 0, 0, TUI_WARN, "%s%s   Esc stops", c->job, left);
    } else if (v->editing) tui_text_fit(row, 0, row.w, 0, TUI_EDITED, "editing: a hex digit or +/- changes it, arrows move, u undoes, Esc ends");
    else if (s->err.code == CUT_ECANCEL && strcmp(s->err.msg, v->read)) tui_text_fit(row, 0, row.w, 0, TUI_WARN, "stopped");
    else if (s->err.code && strcmp(s->err.msg, v->read)) tui_text_fit(row, 0, row.w, 0, TUI_BAD, s->err.msg);
    else if (s->said[0] && strcmp(s->said, v->read)) tui_text_fit(row, 0, row.w, 0, TUI_GOOD, s->said);
    else if (c && c->to_go) tui_textf(row, 0, 0, TUI_TEXT, "running: %d tokens so far   Space pauses", c->n_tokens - c->n_prompt);
    else if (c) status_token(v, c, row);
}

/* ---- the class */

static void *new(struct tui_app *app) {
    struct quant_view *v = tui_alloc(1, sizeof *v);
    v->app = app;
    v->follow = true;
    v->tensor = v->layer = -1;
    v->weight = -1;
    v->left = QUANT_LAYERS;
    return v;
}

static void done(void *self) {
    struct quant_view *v = self;
    free(v->order);
    free(v);
}

static void snap(void *self) {
    struct quant_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    if (v->begun && v->begun != s->list) {     /* another model: nothing of what was looked at is there */
        v->begun = NULL;
        v->picked = false;
        v->tensor = v->layer = -1;
        v->weight = -1;
        v->follow = true;
        v->editing = false;
        v->menu = QUANT_NO_MENU;
    }
    const struct tui_cmp_block *b = s->cmp ? s->cmp->block : NULL;
    if (v->weight < 0 && b && b->tensor == v->tensor && b->build == v->build)      /* stay there when an edit makes another the worst */
        v->weight = b->block * b->n;
    watch(v);
}

static void show(void *self) { snap(self); }

/* The view keeps its own status row, so it counts among those that do something of their own. */
static int tick(void *self, bool front) {
    (void)self;
    (void)front;
    return -1;
}

const struct tui_view_class tui_view_quant = {
    .title = "Quant compare", .brief = "quant", .digit = '4',
    .about = "The same model in several number formats, made in memory. All read the reference's text, so their predictions are "
             "compared token by token (KL); from its first other choice, in brackets, a build writes its own. "
             "Enter asks why, three times: which layer, tensor, weights.",
    .keys = keys, .n_keys = sizeof keys / sizeof *keys,
    .new = new, .free = done, .show = show, .snap = snap, .draw = draw, .status = status, .key = any_key, .modal = modal,
    .mouse = mouse, .find = find, .tick = tick,
};
