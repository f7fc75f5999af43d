/* perf.c - how fast it runs, and why: state, keys, layout. What is measured comes from the worker (tui/perf.h). */
#include "tui/view/perf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"

struct tui_area perf_pane(struct perf_view *v, struct tui_area a, enum perf_panel p, const char *title, const char *right) {
    v->area[p] = a;
    return tui_pane(a, title, right, v->focus == p);
}

void perf_nothing(struct tui_area in, const char *what) { tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, what); }

/* ---- asking */

static void post(struct perf_view *v, struct tui_perf_ask ask, const char *text) {
    ask.quick = !v->times;
    tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_PERF, .perf = ask, .text = text });
}

static void set(struct perf_view *v, bool prefill, int threads, enum cut_tier tier) {
    post(v, (struct tui_perf_ask){ .op = TUI_PERF_SET, .prefill = prefill, .threads = threads, .tier = tier }, NULL);
}

static unsigned looked(struct perf_view *v) {
    const struct tui_snap *s = tui_app_snap(v->app);
    snprintf(v->read, sizeof v->read, "%s", s->err.code ? s->err.msg : s->said);
    return TUI_HANDLED | TUI_REDRAW;
}

static void focus(struct perf_view *v, enum perf_panel p) {
    v->focus = p;
    if (p == PERF_DIFF || p == PERF_SAME || p == PERF_CONTEXT || p == PERF_BATCH) v->below = p;
    if (p == PERF_KERNELS && v->below != PERF_BATCH) v->below = PERF_CONTEXT;      /* they share a row with either */
}

/* ---- keys */

static unsigned key_all(void *self, int key) {
    struct perf_view *v = self;
    (void)key;
    if (v->perf) post(v, (struct tui_perf_ask){ .op = TUI_PERF_ALL }, NULL);
    return looked(v);
}

/* Is anything there to be looked at in a panel? */
static bool measured(const struct perf_view *v, enum perf_panel p) {
    const struct tui_perf *f = v->perf;
    int count[TUI_PERF_POINTS], n = 0;
    switch (p) {
    case PERF_SWEEP: return perf_counts(f, count) > 1;
    case PERF_GANTT: return f->profile[f->prefill] != NULL;
    case PERF_ROOF: return f->peaks.n && f->profile[f->prefill];
    case PERF_CONTEXT:
        for (int i = 0; i < f->n_points; i++) n += tui_perf_find(f, false, f->tier, f->threads, f->point[i].depth) == &f->point[i];
        return n > 1;
    case PERF_BATCH: return tui_perf_find_batch(f, 1) && tui_perf_find_batch(f, 2);
    case PERF_KERNELS: return tui_perf_find(f, f->prefill, CUT_TIER_REF, f->threads, 0) != NULL;
    case PERF_SAME: return f->n_same > 0 && f->same_tier == f->tier && f->same_ways == f->ways;
    case PERF_STEPS: case PERF_DIFF: case PERF_PANELS: break;
    }
    return true;
}

/* To a panel; what it shows is measured when nothing is there, or when the key comes again. */
static unsigned key_panel(void *self, int key) {
    static const struct { int key; enum perf_panel panel; enum tui_perf_op op; } to[] = {
        { 't', PERF_SWEEP, TUI_PERF_THREADS }, { 'w', PERF_GANTT, TUI_PERF_STEPS },      { 'r', PERF_ROOF, TUI_PERF_STEPS },
        { 'c', PERF_CONTEXT, TUI_PERF_CONTEXT }, { 'm', PERF_BATCH, TUI_PERF_BATCH }, { 'K', PERF_KERNELS, TUI_PERF_KERNELS },
        { '=', PERF_SAME, TUI_PERF_SAME },
    };
    struct perf_view *v = self;
    for (size_t i = 0; v->perf && i < sizeof to / sizeof *to; i++) {
        if (to[i].key != key) continue;
        bool here = v->focus == to[i].panel;
        focus(v, to[i].panel);
        if (here || !measured(v, to[i].panel)) post(v, (struct tui_perf_ask){ .op = to[i].op }, NULL);
    }
    return looked(v);
}

static unsigned key_mode(void *self, int key) {
    struct perf_view *v = self;
    const struct tui_perf *p = v->perf;
    (void)key;
    if (p) set(v, !p->prefill, p->threads, p->tier);
    return looked(v);
}

static unsigned key_what_if(void *self, int key) {
    struct perf_view *v = self;
    (void)key;
    v->what_if = !v->what_if || v->focus != PERF_ROOF;
    focus(v, PERF_ROOF);
    return looked(v);
}

static unsigned key_layer(void *self, int key) {
    struct perf_view *v = self;
    int n = v->perf ? v->perf->config.n_layer : 0;
    v->layer += key == ']' ? 1 : -1;
    if (v->layer < 0) v->layer = 0;
    if (v->layer > n) v->layer = n;
    focus(v, PERF_GANTT);
    return looked(v);
}

static unsigned key_zoom(void *self, int key) {
    struct perf_view *v = self;
    focus(v, PERF_GANTT);
    perf_gantt_key(v, key);
    return looked(v);
}

/* Where a pass goes: the instructions of the row's kernels. They are counted when they are not the last that were. */
static void want_code(struct perf_view *v) {
    struct tui_perf_kernel k;
    if (v->menu == PERF_MENU_CODE && perf_code_wanted(v, &k)) post(v, (struct tui_perf_ask){ .op = TUI_PERF_CODE, .code = k }, NULL);
}

static void open_code(struct perf_view *v) {
    if (!v->perf->profile[v->perf->prefill]) {
        tui_app_say(v->app, TUI_WARN, "no step was measured yet: w puts a clock on every one");
        return;
    }
    v->code_row = v->steps.cursor;
    v->code_line = 0;
    v->code = (struct tui_list){ 0 };
    v->menu = PERF_MENU_CODE;
    want_code(v);
}

/* The row's threads or kernels are what is measured from now on; or what it is made of. */
static unsigned key_enter(void *self, int key) {
    struct perf_view *v = self;
    const struct tui_perf *p = v->perf;
    int count[TUI_PERF_POINTS], n = p ? perf_counts(p, count) : 0;
    (void)key;
    if (p && v->focus == PERF_SWEEP && v->table.cursor < n) set(v, p->prefill, count[v->table.cursor], p->tier);
    else if (p && v->focus == PERF_KERNELS) set(v, p->prefill, p->threads, (enum cut_tier)(CUT_TIER_REF + v->kernels.cursor));
    else if (p && v->focus == PERF_STEPS) open_code(v);
    return looked(v);
}

static unsigned key_save(void *self, int key) {
    struct perf_view *v = self;
    (void)key;
    if (v->perf) post(v, (struct tui_perf_ask){ .op = TUI_PERF_SAVE }, NULL);
    return looked(v);
}

static unsigned key_diff(void *self, int key) {
    enum { MOST = 64 };
    struct perf_view *v = self;
    (void)key;
    if (!v->runs) v->runs = tui_alloc(MOST, sizeof *v->runs);
    v->menu_list = (struct tui_list){ .n = tui_perf_list(v->runs, MOST) };
    v->menu = v->menu_list.n > 0 ? PERF_MENU_RUNS : PERF_NO_MENU;
    if (!v->menu) tui_app_say(v->app, TUI_WARN, "no run was saved yet: S saves what is measured");
    return looked(v);
}

/* Where threads run; what is in use now is marked. */
static unsigned key_pin(void *self, int key) {
    struct perf_view *v = self;
    const struct tui_perf *p = v->perf;
    (void)key;
    if (!p) return looked(v);
    memset(v->marked, 0, sizeof v->marked);
    for (int i = 0; i < p->machine.n_cpu; i++)
        for (int k = 0; k < p->pin.n; k++) v->marked[i] = v->marked[i] || p->machine.cpu[i].id == p->pin.cpu[k];
    v->place = 0;
    v->menu = PERF_MENU_PLACES;
    return looked(v);
}

/* The load there is ends; or which one shall begin? */
static unsigned key_load(void *self, int key) {
    struct perf_view *v = self;
    (void)key;
    if (v->perf && v->perf->load) post(v, (struct tui_perf_ask){ .op = TUI_PERF_LOAD, .load = TUI_PERF_QUIET }, NULL);
    else if (v->perf) {
        v->menu_list = (struct tui_list){ .n = TUI_PERF_LOADS - 1 };
        v->menu = PERF_MENU_LOADS;
    }
    return looked(v);
}

static unsigned key_level(void *self, int key) {
    struct perf_view *v = self;
    (void)key;
    v->level = v->level == TUI_PLANE_BRAILLE ? TUI_PLANE_BLOCK : v->level == TUI_PLANE_BLOCK ? TUI_PLANE_ASCII : TUI_PLANE_BRAILLE;
    tui_app_say(v->app, TUI_TEXT, "plots of %s", v->level == TUI_PLANE_BRAILLE ? "braille dots" : v->level == TUI_PLANE_BLOCK ? "blocks" : "ASCII characters");
    return looked(v);
}

static unsigned key_pane(void *self, int key) {
    static const enum perf_panel order[] = { PERF_SWEEP, PERF_STEPS, PERF_ROOF, PERF_GANTT, PERF_CONTEXT, PERF_BATCH, PERF_KERNELS };
    enum { N = sizeof order / sizeof *order };
    struct perf_view *v = self;
    int at = 0;
    for (int i = 0; i < N; i++)
        if (order[i] == v->focus) at = i;
    focus(v, order[(at + (key == TUI_KEY_TAB ? 1 : N - 1)) % N]);
    return looked(v);
}

static const struct tui_key keys[] = {
    { 'b', "bench all", "measure everything", key_all },
    { 't', "threads", "speed by number of threads", key_panel },
    { 'K', "kernels", "speed by kernels, and ulps", key_panel },
    { 'd', "decode/prefill", "decode or prefill", key_mode },
    { 'r', "roof", "the roofline of a pass", key_panel },
    { 'w', "who waits", "who waits: a layer's Gantt", key_panel },
    { 'c', "context", "speed by context length", key_panel },
    { 'm', "batch", "speed of several sequences", key_panel },
    { 'x', "what if", "roofs of other formats", key_what_if },
    { '=', "same bytes", "are the bytes the same?", key_panel },
    { 'p', "pin", "tie threads to processors", key_pin },
    { 's', "load", "a competing load; ends it", key_load },
    { 'S', "save", "save all figures as JSON", key_save },
    { 'D', "diff", "compare with a saved run", key_diff },
    { ']', "layer", "layer of the Gantt picture", key_layer },
    { '[', NULL, NULL, key_layer },
    { 'z', "zoom", "into the Gantt; Z out again", key_zoom },
    { 'Z', NULL, NULL, key_zoom },
    { TUI_KEY_ENTER, "use, code", "use the row; a step's assembly", key_enter },
    { 'B', "braille", "braille, blocks or ASCII", key_level },
    { TUI_KEY_TAB, "pane", "next, previous pane", key_pane },
    { TUI_KEY_BACKTAB, NULL, NULL, key_pane },
    { TUI_KEY_ESC, "", "stop measuring; back", NULL },
};

/* ---- keys that no table lists */

static void compare_with(struct perf_view *v, const char *run) {
    char folder[4096], path[4200];
    if (!tui_perf_folder(folder)) return;
    snprintf(path, sizeof path, "%s/%s.json", folder, run);
    post(v, (struct tui_perf_ask){ .op = TUI_PERF_COMPARE }, path);
    focus(v, PERF_DIFF);
}

static void choose(struct perf_view *v) {
    if (v->menu == PERF_MENU_RUNS) compare_with(v, v->runs[v->menu_list.cursor]);
    else if (v->menu == PERF_MENU_LOADS)
        post(v, (struct tui_perf_ask){ .op = TUI_PERF_LOAD, .load = (enum tui_perf_load)(v->menu_list.cursor + 1) }, NULL);
    else post(v, (struct tui_perf_ask){ .op = TUI_PERF_PIN, .pin = perf_marked(v) }, NULL);
}

static void accept_find(void *user, const char *text) {
    struct perf_view *v = user;
    snprintf(v->code_find, sizeof v->code_find, "%.60s", text);
    if (text[0] && !perf_code_find(v, 1)) tui_app_say(v->app, TUI_WARN, "no instruction with \"%.40s\"", v->code_find);
}

static void code_key(struct perf_view *v, int key) {
    if (key == TUI_KEY_ESC || key == 'q' || key == TUI_KEY_ENTER) v->menu = PERF_NO_MENU;
    else if (key == '/') tui_app_ask(v->app, "/", "", "find an instruction by a part of it", accept_find, v);
    else if ((key == 'n' || key == 'N') && v->code_find[0] && !perf_code_find(v, key == 'n' ? 1 : -1))
        tui_app_say(v->app, TUI_WARN, "no other instruction with \"%.40s\"", v->code_find);
    else if (perf_code_key(v, key)) want_code(v);
}

static void menu_key(struct perf_view *v, int key) {
    if (v->menu == PERF_MENU_CODE) {
        code_key(v, key);
        return;
    }
    if (v->menu == PERF_MENU_PLACES ? perf_place_key(v, key) : tui_list_key(&v->menu_list, key, 12)) return;
    if (key == TUI_KEY_ENTER) choose(v);
    if (key == TUI_KEY_ENTER || key == TUI_KEY_ESC || key == 'q' || key == 'D' || key == 's' || key == 'p') v->menu = PERF_NO_MENU;
}

static void back(struct perf_view *v) {
    if (v->perf && v->perf->job[0]) post(v, (struct tui_perf_ask){ .op = TUI_PERF_STOP }, NULL);
    else if (v->what_if && v->focus == PERF_ROOF) v->what_if = false;
    else focus(v, v->focus == PERF_DIFF || v->focus == PERF_SAME ? PERF_CONTEXT : PERF_SWEEP);
}

static unsigned any_key(void *self, int key) {
    struct perf_view *v = self;
    struct tui_list *l = v->focus == PERF_SWEEP ? &v->table : v->focus == PERF_STEPS ? &v->steps : v->focus == PERF_ROOF ? &v->ops : v->focus == PERF_KERNELS ? &v->kernels
                       : v->focus == PERF_GANTT ? &v->gantt : v->focus == PERF_DIFF ? &v->diff : v->focus == PERF_SAME ? &v->same : NULL;
    int rows = v->area[v->focus].h > 6 ? v->area[v->focus].h - 4 : 3;
    if (v->menu) menu_key(v, key);
    else if (key == TUI_KEY_ESC) back(v);
    else if (v->focus == PERF_GANTT && perf_gantt_key(v, key)) return looked(v);
    else if (!l || !tui_list_key(l, key, rows)) return 0;
    return looked(v);
}

static bool modal(void *self) { return ((struct perf_view *)self)->menu; }

static unsigned mouse(void *self, int x, int y, int button) {
    struct perf_view *v = self;
    y += 1;                                    /* areas are in screen coordinates; the view starts at row 1 */
    if (v->menu == PERF_MENU_CODE && button > 1) perf_code_key(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    if (v->menu) return v->menu == PERF_MENU_CODE ? looked(v) : 0;
    for (int p = 0; p < PERF_PANELS; p++) {
        struct tui_area a = v->area[p];
        if (x >= a.x && x < a.x + a.w && y >= a.y && y < a.y + a.h) focus(v, (enum perf_panel)p);
    }
    if (button > 1) any_key(v, button == 4 ? TUI_KEY_UP : TUI_KEY_DOWN);
    return looked(v);
}

/* ---- layout */

static void draw_narrow(struct perf_view *v, struct tui_area a) {
    struct tui_area top;
    switch (v->focus) {
    case PERF_ROOF: perf_draw_roof(v, a); return;
    case PERF_GANTT: perf_draw_gantt(v, a); return;
    case PERF_DIFF: perf_draw_diff(v, a); return;
    case PERF_SAME: perf_draw_same(v, a); return;
    case PERF_CONTEXT: case PERF_BATCH: case PERF_KERNELS:
        top = tui_cut_top(&a, a.h / 2 + 1);
        if (v->below == PERF_BATCH) perf_draw_batch(v, top);
        else perf_draw_context(v, top);
        perf_draw_kernels(v, a);
        return;
    case PERF_SWEEP: case PERF_STEPS: case PERF_PANELS: break;
    }
    top = tui_cut_top(&a, a.h - 8);
    struct tui_area right = tui_cut_right(&top, 34), below = tui_cut_right(&a, a.w / 2);
    perf_draw_plot(v, top);
    perf_draw_table(v, right);
    perf_draw_steps(v, a);
    perf_draw_roof(v, below);
}

static void draw_wide(struct perf_view *v, struct tui_area a) {
    struct tui_area bottom = tui_cut_bottom(&a, a.h >= 42 ? 9 : 8), top = tui_cut_top(&a, (a.h + 1) / 2), right;
    perf_draw_steps(v, tui_cut_right(&top, top.w >= 150 ? 42 : 32));
    perf_draw_table(v, tui_cut_right(&top, top.w >= 100 ? 48 : 34));
    perf_draw_plot(v, top);
    right = tui_cut_right(&a, a.w / 2 - (a.w >= 150 ? 6 : 14));
    perf_draw_roof(v, a);
    perf_draw_gantt(v, right);
    if (v->below == PERF_DIFF) { perf_draw_diff(v, bottom); return; }
    if (v->below == PERF_SAME) { perf_draw_same(v, bottom); return; }
    perf_draw_kernels(v, tui_cut_right(&bottom, bottom.w / 2 - 6));
    if (v->below == PERF_BATCH) perf_draw_batch(v, bottom);
    else perf_draw_context(v, bottom);
}

void perf_draw(struct perf_view *v, struct tui_area a) {
    memset(v->area, 0, sizeof v->area);
    if (!v->perf) {
        perf_nothing(tui_pane(a, "how fast it runs, and why", NULL, true), "No model is open. :open FILE opens one.");
        return;
    }
    if (a.w >= 120 && a.h >= 33) draw_wide(v, a);
    else draw_narrow(v, a);
    if (v->menu == PERF_MENU_RUNS) perf_draw_menu(v, a);
    else if (v->menu == PERF_MENU_LOADS) perf_draw_loads(v, a);
    else if (v->menu == PERF_MENU_PLACES) perf_draw_places(v, a);
    else if (v->menu == PERF_MENU_CODE) perf_draw_code(v, a);
}

static void draw(void *self, struct tui_area a) {
    struct perf_view *v = self;
    v->perf = tui_app_snap(v->app)->perf;
    v->times = tui_app_times(v->app);
    perf_draw(v, a);
}

/* ---- the status row */

/* How far to trust what is on the screen. */
static void status_machine(const struct perf_view *v, struct tui_area row) {
    const struct tui_perf *p = v->perf;
    const struct tui_perf_machine *m = &p->machine;
    int noisy = 0;
    for (int i = 0; i < p->n_points; i++) noisy += p->point[i].at.tps.noisy;
    if (p->load) {
        int x = tui_textf(row, 0, 0, TUI_WARN, "load: %s", tui_perf_load_name(p->load));
        if (v->times) x = tui_textf(row, x, 0, TUI_WARN, ", %.0f s left", fmax(0, p->load_ends - cut_clock()));
        tui_text(row, x, 0, TUI_WARN, "; s ends it");
        return;
    }
    if (!p->n_points) { tui_text(row, 0, 0, TUI_TEXT, "b measures everything; t, K, r, w, c a part of it"); return; }
    if (!v->times) { tui_text(row, 0, 0, TUI_TEXT, "medians, the first round dropped"); return; }
    bool loaded = tui_perf_busy(m);
    int x = noisy ? tui_textf(row, 0, 0, TUI_WARN, "%d of %d runs noisy (!: quartiles > 5 %% apart)", noisy, p->n_points)
                  : tui_textf(row, 0, 0, TUI_GOOD, "%d runs, none noisy", p->n_points);
    if (row.w < 76) {                          /* the rest as far as it fits */
        if (m->load >= 0) tui_textf(row, x, 0, loaded ? TUI_WARN : TUI_DIM, "; load %.1f", m->load);
        return;
    }
    x = tui_textf(row, x, 0, TUI_DIM, "; medians, first round dropped; governor %s", m->governor[0] ? m->governor : "not readable");
    if (m->load >= 0) tui_textf(row, x, 0, loaded ? TUI_WARN : TUI_DIM, "; load %.1f%s", m->load, loaded ? ": others are running, expect noise" : "");
}

/* What must not be cut off comes first. */
void perf_draw_job(const struct perf_view *v, struct tui_area row) {
    const struct tui_perf *p = v->perf;
    char line[320], tokens[40] = "", rate[40] = "", all[64], left[24] = "", b[32];
    bool wide = row.w >= 100;
    if (p->job_all) snprintf(tokens, sizeof tokens, wide ? ", %d of %d tokens" : ", %d/%d", p->job_done, p->job_all);
    if (p->rate > 0 && wide) snprintf(rate, sizeof rate, "  %s tok/s", perf_tps(v, p->rate, b));
    if (p->left >= 0.5) snprintf(left, sizeof left, wide ? ", %.0f s left" : ", %.0f s", p->left);
    snprintf(all, sizeof all, wide ? "%.0f %% of all%s   Esc stops" : "all %.0f %%%s  Esc", 100 * p->part, left);
    snprintf(line, sizeof line, "%3.0f %%%s  %s%s", 100 * p->job_part, tokens, p->job, rate);
    int end = tui_text_right(row, row.w, 0, TUI_WARN, all);
    tui_text_fit(row, 0, end - 2, 0, TUI_WARN, line);
}

static void status(void *self, struct tui_area row) {
    struct perf_view *v = self;
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_perf *p = v->perf = s->perf;
    if (p && p->job[0]) {
        if (v->times) perf_draw_job(v, row);
        else tui_text(row, 0, 0, TUI_WARN, "measuring   Esc stops");
    } else if (s->err.code && strcmp(s->err.msg, v->read))
        tui_text_fit(row, 0, row.w, 0, s->err.code == CUT_ECANCEL ? TUI_WARN : TUI_BAD, s->err.msg);
    else if (s->said[0] && strcmp(s->said, v->read)) tui_text_fit(row, 0, row.w, 0, TUI_GOOD, s->said);
    else if (p) status_machine(v, row);
}

/* ---- the class */

static void *new(struct tui_app *app) {
    struct perf_view *v = tui_alloc(1, sizeof *v);
    v->app = app;
    v->level = TUI_PLANE_BRAILLE;
    v->below = PERF_CONTEXT;
    v->moment = 0.5;
    return v;
}

static void done(void *self) {
    struct perf_view *v = self;
    free(v->runs);
    free(v);
}

static void snap(void *self) {
    struct perf_view *v = self;
    v->perf = tui_app_snap(v->app)->perf;
}

/* The view keeps its own status row, so it counts among those that do something of their own. A load ends when the reader leaves, or
 * forgets it; until then its seconds are counted down. */
static int tick(void *self, bool front) {
    struct perf_view *v = self;
    const struct tui_perf *p = v->perf = tui_app_snap(v->app)->perf;
    if (!p || !p->load) return -1;
    if (!front || cut_clock() > p->load_ends) {
        post(v, (struct tui_perf_ask){ .op = TUI_PERF_LOAD, .load = TUI_PERF_QUIET }, NULL);
        return -1;
    }
    if (!v->times) return -1;
    tui_app_redraw(v->app);
    return 1000;
}

const struct tui_view_class tui_view_perf = {
    .title = "Perf", .brief = "perf", .digit = '5',
    .about = "How fast this model runs here, and why. Everything is measured now, on this machine, while nothing else of the workbench runs; "
             "Esc stops and keeps what is there. A panel's key shows it, and measures where nothing is there yet or when it is pressed again. "
             "The roofs are measured, too: what memory and multipliers can do at most.",
    .keys = keys, .n_keys = sizeof keys / sizeof *keys,
    .new = new, .free = done, .show = snap, .snap = snap, .draw = draw, .status = status, .key = any_key, .modal = modal, .mouse = mouse,
    .tick = tick,
};
