/* step.c - the forward-pass stepper: a debugger for one token's way through the model. State, keys, layout. */
#include "tui/view/step.h"

#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"

/* ---- what is looked at */

const struct cut_step *step_selected(const struct step_view *v) {
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    return l && v->sel >= 0 && v->sel < l->n_steps ? &l->step[v->sel] : NULL;
}

const struct tui_value *step_value(const struct step_view *v) {
    const struct tui_value *val = tui_app_snap(v->app)->value;
    return val && val->step == v->sel ? val : NULL;
}

const char *step_short_name(const struct cut_step *s) {
    const char *dot = s->layer >= 0 ? strchr(s->name, '.') : NULL;
    dot = dot ? strchr(dot + 1, '.') : NULL;
    return dot ? dot + 1 : s->name;
}

void step_watch(struct step_view *v) {
    struct tui_watch *w = tui_app_watch(v->app), was = *w;
    w->step = v->follow ? -1 : v->sel;
    w->row = v->row_at;
    w->col = v->col_at;
    w->explain = v->lower == LOWER_MATHS || v->tall;
    if (memcmp(&was, w, sizeof was)) tui_app_watch_changed(v->app);
}

static void open_layer_of(struct step_view *v, int step) {
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    if (l && step >= 0 && step < l->n_steps && l->step[step].layer >= 0) v->open_layer = l->step[step].layer;
}

static void show_in_list(struct step_view *v) {
    open_layer_of(v, v->sel);
    step_rows_build(v);
    for (int i = 0; i < v->list.n; i++)
        if (v->row[i].step == v->sel) v->list.cursor = i;
}

void step_select(struct step_view *v, int step) {
    if (step == v->sel) return;
    v->sel = step;
    v->row_at = v->col_at = -1;
    v->maths_top = v->source_top = 0;
    show_in_list(v);
}

/* ---- keys that run the session */

static unsigned post_step(struct step_view *v, int n) {
    v->follow = true;
    step_watch(v);
    if (n) tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_STEP, .n = n });
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_step(void *self, int key) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    if (!s->n_tokens) tui_app_ask_prompt(v->app);
    else if (key == ' ' && s->n_top && !s->where.n_queued)
        tui_app_say(v->app, TUI_TEXT, "pass done: a accepts the likeliest token, } steps into it");
    else return post_step(v, key == ' ' ? 1 : -1);
    return TUI_HANDLED | TUI_REDRAW;
}

/* To the step of the same name in the next or the previous layer; out of the layers at either end. */
static unsigned key_layer(void *self, int key) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct cut_step *now = step_selected(v);
    int by = key == ']' ? 1 : -1, want = -1;
    if (!now) return TUI_HANDLED;
    for (int i = v->sel + by; i >= 0 && i < s->list->n_steps && want < 0; i += by) {
        const struct cut_step *c = &s->list->step[i];
        bool same = now->layer >= 0 && c->layer == now->layer + by && !strcmp(step_short_name(c), step_short_name(now));
        bool outside = c->layer < 0 && now->layer >= 0, into = now->layer < 0 && c->layer >= 0;
        if (same || outside || into) want = i;
    }
    if (want < 0) return TUI_HANDLED;
    v->follow = true;
    return post_step(v, want + 1 - s->where.step);
}

/* Another token of the pass is another view of the same step; beyond the pass, the same step of another pass. */
static unsigned key_token(void *self, int key) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    struct tui_watch *w = tui_app_watch(v->app);
    int want = s->pos + (key == '}' ? 1 : -1), last = s->where.pos + s->where.n_tokens - 1;
    if (s->pos < 0 || want < 0) return TUI_HANDLED;
    v->row_at = v->col_at = -1;
    if (want >= s->where.pos && want <= last) {
        w->pos = want == last ? -1 : want;
        tui_app_watch_changed(v->app);
    } else if (want < s->where.pos) {
        w->pos = -1;
        tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_SEEK, .pass = s->where.pass - 1, .n = s->where.step });
    } else if (want < s->n_tokens) {
        w->pos = -1;
        tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_SEEK, .pass = s->where.pass + 1, .n = s->where.step });
    } else if (s->n_top) {
        w->pos = -1;
        tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_NEXT });
    } else {
        tui_app_say(v->app, TUI_TEXT, "this is the last token: c runs its pass to the end, where the next one is chosen");
    }
    v->follow = true;
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_continue(void *self, int key) {
    struct step_view *v = self;
    v->follow = true;
    tui_app_watch(v->app)->pos = -1;
    step_watch(v);
    tui_app_post(v->app, &(struct tui_cmd){ .kind = key == 'c' ? TUI_CMD_RUN : TUI_CMD_NEXT, .n = 1 });
    return TUI_HANDLED | TUI_REDRAW;
}

/* a: accept the token the pass chose; in the middle of a pass, run to its end first. */
static unsigned key_accept(void *self, int key) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    return key_continue(self, s->n_top && !s->where.n_queued ? key : 'c');
}

static unsigned key_break(void *self, int key) {
    struct step_view *v = self;
    const struct cut_step *s = step_selected(v);
    (void)key;
    if (s) tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_BREAK, .text = s->name });
    return TUI_HANDLED;
}

/* ---- keys that look */

static unsigned key_lower(void *self, int key) {
    struct step_view *v = self;
    enum step_lower want = key == 'm' ? LOWER_MATHS : key == 's' ? LOWER_SOURCE : LOWER_INPUTS;
    v->lower = v->lower == want ? LOWER_STATS : want;
    v->maths_top = v->source_top = 0;
    step_watch(v);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_edit(void *self, int key) {
    struct step_view *v = self;
    const struct tui_value *val = step_value(v);
    (void)key;
    if (!val || !val->data) tui_app_say(v->app, TUI_WARN, "an edit needs a value: step past it first");
    else v->menu = true;
    v->menu_list.cursor = 0;
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_enter(void *self, int key) {
    struct step_view *v = self;
    (void)key;
    if (v->focus == PANE_STEPS && v->list.cursor < v->list.n && v->row[v->list.cursor].step < 0) {
        const struct step_row *r = &v->row[v->list.cursor];
        bool above = r->last_layer < v->open_layer;
        v->open_layer = r->first_layer == v->open_layer ? -1 : above ? r->last_layer : r->first_layer;
        step_rows_build(v);
    } else if (v->focus == PANE_STEPS) {
        v->focus = PANE_VALUE;
    } else {
        v->zoom = !v->zoom;
    }
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key_pane(void *self, int key) {
    struct step_view *v = self;
    int n = v->at_source.w ? 3 : 2;
    if (v->zoom) v->zoom = false;
    v->focus = (enum step_pane)((int)(v->focus + (key == TUI_KEY_TAB ? 1 : n - 1)) % n);
    return TUI_HANDLED | TUI_REDRAW;
}

static const struct tui_key keys[] = {
    { ' ', "step", "make the next step", key_step },
    { TUI_KEY_BACKSPACE, "back", "undo the last step", key_step },
    { ']', "layer", "next, previous layer", key_layer },
    { '[', NULL, NULL, key_layer },
    { '}', "token", "next, previous token", key_token },
    { '{', NULL, NULL, key_token },
    { 'c', "run", "run to the end or a break", key_continue },
    { 'a', "accept", "take the likeliest token", key_accept },
    { 'm', "maths", "what made this number", key_lower },
    { 'v', "inputs", "the values it reads", key_lower },
    { 's', "source", "the code that computes it", key_lower },
    { 'i', "edit", "change the value", key_edit },
    { 'b', "break", "breakpoint on or off", key_break },
    { TUI_KEY_ENTER, "open", "into a step; Esc: back", key_enter },
    { TUI_KEY_TAB, "pane", "next, previous pane", key_pane },
    { TUI_KEY_BACKTAB, NULL, NULL, key_pane },
};

/* Movement belongs to the pane that has the focus. */
static unsigned move(struct step_view *v, int key) {
    if (v->focus == PANE_STEPS) {
        if (!tui_list_key(&v->list, key, v->at_steps.h)) return 0;
        if (v->list.cursor < v->list.n && v->row[v->list.cursor].step >= 0) {
            v->follow = false;
            step_select(v, v->row[v->list.cursor].step);
        }
    } else if (v->focus == PANE_VALUE && v->lower == LOWER_SOURCE && (key == TUI_KEY_PAGE_UP || key == TUI_KEY_PAGE_DOWN)) {
        v->source_top += key == TUI_KEY_PAGE_UP ? -8 : 8;
    } else if (v->focus == PANE_VALUE && v->lower == LOWER_MATHS && (key == TUI_KEY_PAGE_UP || key == TUI_KEY_PAGE_DOWN)) {
        v->maths_top += key == TUI_KEY_PAGE_UP ? -8 : 8;
    } else if (v->focus == PANE_VALUE) {
        const struct tui_value *val = step_value(v);
        if (!val || !val->data || !tui_heat_key(&v->heat, key)) return 0;
        v->row_at = v->heat.row + val->row0;
        v->col_at = v->heat.col;
    } else {
        struct tui_list l = { .n = 1 << 20, .cursor = 1 << 19 };
        if (!tui_list_key(&l, key, 16)) return 0;
        v->source_top += l.cursor - (1 << 19);
        if (l.cursor == 0) v->source_top = 0;
    }
    step_watch(v);
    return TUI_HANDLED | TUI_REDRAW;
}

static unsigned key(void *self, int key) {
    struct step_view *v = self;
    if (key == TUI_KEY_ESC) {
        if (v->menu) v->menu = false;
        else if (v->zoom) v->zoom = false;
        else if (v->lower != LOWER_STATS) v->lower = LOWER_STATS, step_watch(v);
        else v->focus = PANE_STEPS;
        return TUI_HANDLED | TUI_REDRAW;
    }
    return move(v, key);
}

static unsigned mouse(void *self, int x, int y, int button) {
    struct step_view *v = self;
    struct tui_area *steps = &v->at_steps, *value = &v->at_value;
    y += 1;                                            /* areas are in screen coordinates; the view starts at row 1 */
    bool in_steps = x >= steps->x && x < steps->x + steps->w && y >= steps->y && y < steps->y + steps->h;
    bool in_value = x >= value->x && x < value->x + value->w && y >= value->y && y < value->y + value->h;
    if (button > 1) {
        v->focus = in_steps ? PANE_STEPS : in_value ? PANE_VALUE : v->focus;
        return move(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    }
    if (in_steps) {
        v->focus = PANE_STEPS;
        int i = v->list.top + y - steps->y;
        if (i >= v->list.n) return TUI_HANDLED;
        v->list.cursor = i;
        if (v->row[i].step < 0) return key_enter(v, TUI_KEY_ENTER);
        v->follow = false;
        step_select(v, v->row[i].step);
        step_watch(v);
    } else if (in_value) {
        v->focus = PANE_VALUE;
    } else if (x >= v->at_source.x && v->at_source.w) {
        v->focus = PANE_SOURCE;
    }
    return TUI_HANDLED | TUI_REDRAW;
}

/* A part of a step's name, from the selected step on, around the end. */
static bool find(void *self, const char *text, int direction) {
    struct step_view *v = self;
    const struct tui_listing *l = tui_app_snap(v->app)->list;
    for (int k = 1; l && k <= l->n_steps; k++) {
        int i = ((v->sel + direction * k) % l->n_steps + l->n_steps) % l->n_steps;
        if (!strstr(l->step[i].name, text) && !(l->step[i].alias && strstr(l->step[i].alias, text))) continue;
        v->follow = false;
        step_select(v, i);
        step_watch(v);
        return true;
    }
    return false;
}

/* ---- the class */

static void *new(struct tui_app *app) {
    struct step_view *v = tui_alloc(1, sizeof *v);
    v->app = app;
    v->follow = true;
    v->open_layer = v->row_at = v->col_at = -1;
    return v;
}

static void done(void *self) {
    struct step_view *v = self;
    free(v->row);
    free(v);
}

static void snap(void *self) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    int last = s->list ? s->list->n_steps - 1 : 0;
    if (v->follow) step_select(v, s->where.step > 0 ? s->where.step - 1 : 0);
    if (v->sel > last) step_select(v, last);
    if (v->open_layer < 0 && s->list) show_in_list(v);
    step_watch(v);
}

static void show(void *self) {
    struct step_view *v = self;
    tui_app_watch(v->app)->attn_layer = -1;
    snap(v);
}

static void draw(void *self, struct tui_area a) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    struct tui_area whole = a;
    tui_draw_strip(v->app, tui_part(tui_cut_top(&a, 1), 1, 0, a.w - 2, 1));
    v->at_source.w = 0;
    if (v->zoom) {
        struct tui_area inputs = tui_cut_left(&a, a.w < 120 ? 0 : a.w < 150 ? 48 : 74);
        step_draw_value(v, a);
        if (inputs.w) step_draw_inputs_pane(v, inputs);
    } else {
        bool three = a.w >= 120;
        struct tui_area list = tui_cut_left(&a, a.w >= 150 ? 40 : three ? 36 : 30);
        struct tui_area side = three ? tui_cut_right(&a, a.w >= 118 ? 50 : 36) : tui_cut_right(&a, 0);
        step_rows_build(v);
        int spare = list.h - 2 - v->list.n;                 /* rows the listing leaves free, whichever layer is open */
        if (list.h >= 40 && spare < 17) spare = 17;
        struct tui_area inputs = tui_cut_bottom(&list, three && s->n_tokens && spare >= 12 ? spare : 0);
        step_draw_list(v, list);
        step_draw_value(v, a);
        if (inputs.h) step_draw_inputs_pane(v, inputs);
        if (three) {
            int next = side.h / 3 > 14 ? 14 : side.h / 3;
            struct tui_area bottom = tui_cut_bottom(&side, next);
            step_draw_source(v, side);
            struct tui_area in = tui_pane(bottom, "next token", s->n_top ? "[REAL]" : NULL, false);
            step_draw_next(v, tui_part(in, 1, 0, in.w - 2, in.h));
        }
    }
    if (v->menu) step_draw_menu(v, whole);
}

/* What the panes have no room for: the kernel and what the step cost. */
static void status(void *self, struct tui_area row) {
    struct step_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct cut_step *step = step_selected(v);
    char num[16];
    if (!step || !step_value(v) || !step_value(v)->data) return;
    int x = tui_textf(row, tui_text(row, 0, 0, TUI_DIM, "kernel "), 0, TUI_TEXT, "%s", step->kernel);
    x = tui_text(row, tui_text(row, x, 0, TUI_DIM, "  reads "), 0, TUI_TEXT, tui_bytes(s->cost_bytes, num));
    if (s->cost_flops) x = tui_text(row, tui_text(row, x, 0, TUI_DIM, "  flop "), 0, TUI_TEXT, tui_count(s->cost_flops, num));
    if (tui_app_times(v->app) && s->time[v->sel] > 0)
        x = tui_text(row, tui_text(row, x, 0, TUI_DIM, "  took "), 0, TUI_TEXT, tui_time((double)s->time[v->sel], num));
    if (step->alias) tui_text_fit(row, tui_text(row, x, 0, TUI_DIM, "  TL "), row.w, 0, TUI_TEXT, step->alias);
}

static bool modal(void *self) { return ((struct step_view *)self)->menu; }

static unsigned any_key(void *self, int k) {
    struct step_view *v = self;
    if (v->menu && k != TUI_KEY_ESC) {
        v->menu = step_menu_key(v, k);
        return TUI_HANDLED | TUI_REDRAW;
    }
    return key(self, k);
}

const struct tui_view_class tui_view_step = {
    .title = "Step", .brief = "step", .digit = '1',
    .about = "The forward pass as a program: every operation the engine makes for the tokens of this pass, in order. The list shows "
             "the steps, folded by layer; the pane beside it the value a step wrote. Numbers are the engine's own, tagged REAL "
             "(computed by this run) or DERIVED (computed from it on demand).",
    .keys = keys, .n_keys = sizeof keys / sizeof *keys,
    .new = new, .free = done, .show = show, .snap = snap, .draw = draw, .status = status, .key = any_key, .modal = modal,
    .mouse = mouse, .find = find,
};
