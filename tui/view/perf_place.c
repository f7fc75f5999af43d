/* perf_place.c - where threads run, drawn as the machine is: nodes, cores, the processors of a core; and what competes with them. */
#include <string.h>

#include "tui/view/perf.h"

/* ---- places */

/* The first and last of the processors that share a core with processor i (in the machine's order). */
static void core_of(const struct tui_perf_machine *m, int i, int *first, int *last) {
    *first = *last = i;
    if (m->cpu[i].core < 0) return;
    while (*first > 0 && m->cpu[*first - 1].core == m->cpu[i].core && m->cpu[*first - 1].package == m->cpu[i].package) --*first;
    while (*last + 1 < m->n_cpu && m->cpu[*last + 1].core == m->cpu[i].core && m->cpu[*last + 1].package == m->cpu[i].package) ++*last;
}

struct tui_perf_pin perf_marked(const struct perf_view *v) {
    const struct tui_perf_machine *m = &v->perf->machine;
    struct tui_perf_pin pin = { 0 };
    for (int i = 0; i < m->n_cpu; i++)
        if (v->marked[i]) pin.cpu[pin.n++] = m->cpu[i].id;
    return pin;
}

bool perf_place_key(struct perf_view *v, int key) {
    const struct tui_perf_machine *m = v->perf ? &v->perf->machine : NULL;
    int first, last;
    if (!m || !m->n_cpu) return false;
    if (v->place >= m->n_cpu) v->place = m->n_cpu - 1;
    core_of(m, v->place, &first, &last);
    switch (key) {
    case TUI_KEY_UP: case 'k': if (first > 0) v->place = first - 1; return true;
    case TUI_KEY_DOWN: case 'j': if (last + 1 < m->n_cpu) v->place = last + 1; return true;
    case TUI_KEY_LEFT: case 'h': if (v->place > 0) v->place--; return true;
    case TUI_KEY_RIGHT: case 'l': if (v->place + 1 < m->n_cpu) v->place++; return true;
    case ' ': v->marked[v->place] = !v->marked[v->place]; return true;
    case 'a': case 'c': case 'n':
        for (int i = 0; i < m->n_cpu; i++) {
            core_of(m, i, &first, &last);
            v->marked[i] = key == 'a' || (key == 'c' && i == first);
        }
        return true;
    }
    return false;
}

/* Which of them a thread gets, of those that are set. */
static int thread_of(const struct perf_view *v, int at) {
    int n = 0;
    for (int i = 0; i < at; i++) n += v->marked[i];
    return v->marked[at] && n < v->perf->threads ? n : -1;
}

static void draw_cpu(const struct perf_view *v, struct tui_area in, int x, int y, int i) {
    const struct tui_perf_cpu *c = &v->perf->machine.cpu[i];
    int t = thread_of(v, i);
    tui_textf(in, x, y, v->marked[i] ? TUI_TEXT | TUI_BOLD : TUI_DIM, "[%c] cpu %d", v->marked[i] ? 'x' : ' ', c->id);
    if (t >= 0) tui_textf(in, x + 11, y, TUI_SERIES1, "t%d", t);
    if (i != v->place) return;
    tui_put(in, x - 1, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
    for (int k = 0; k < 3; k++) tui_put(in, x + k, y, TUI_SELECTED, (uint32_t)(k == 0 ? '[' : k == 2 ? ']' : v->marked[i] ? 'x' : ' '));
}

void perf_draw_places(struct perf_view *v, struct tui_area screen) {
    enum { CORE_W = 20, CPU_W = 17, FOOT = 5 };
    const struct tui_perf *p = v->perf;
    const struct tui_perf_machine *m = &p->machine;
    int row_of_cursor = 0, rows = 0, first, last;
    for (int i = 0; i < m->n_cpu; i = last + 1) {
        core_of(m, i, &first, &last);
        if (v->place >= first) row_of_cursor = rows;
        rows++;
    }
    int shown = rows < screen.h - FOOT - 3 ? rows : screen.h - FOOT - 3, top = row_of_cursor < shown ? 0 : row_of_cursor - shown + 1;
    struct tui_area in = tui_overlay(screen, 74, shown + FOOT + 2, "where threads run");
    for (int i = 0, y = -top; i < m->n_cpu; i = last + 1, y++) {
        const struct tui_perf_cpu *c = &m->cpu[i];
        core_of(m, i, &first, &last);
        if (y < 0 || y >= shown) continue;
        int x = 1;
        if (c->core >= 0) x = tui_textf(in, x, y, TUI_TEXT, "core %d", c->core);
        if (c->node >= 0) x = tui_textf(in, x, y, TUI_DIM, ", node %d", c->node);
        if (c->mhz) tui_textf(in, x, y, TUI_DIM, ", %d MHz", c->mhz);
        for (int k = first; k <= last && CORE_W + (c->mhz ? 8 : 0) + CPU_W * (k - first) < in.w - 14; k++)
            draw_cpu(v, in, CORE_W + (c->mhz ? 8 : 0) + CPU_W * (k - first), y, k);
    }
    struct tui_perf_pin pin = perf_marked(v);
    if (!pin.n) tui_text_fit(in, 1, in.w - 1, shown + 1, TUI_DERIVED, "none marked: the system places the threads, and moves them as it likes");
    else if (pin.n < p->threads) tui_textf(in, 1, shown + 1, TUI_WARN, "%d threads on %d processor%s: some share one and wait for each other", p->threads, pin.n, pin.n == 1 ? "" : "s");
    else tui_textf(in, 1, shown + 1, TUI_DERIVED, "%d thread%s, each tied to one processor, from the top", p->threads, p->threads == 1 ? "" : "s");
    tui_text(in, 1, shown + 3, TUI_DIM, "Space marks   c one of each core   a all   n none");
    tui_text(in, 1, shown + 4, TUI_DIM, "Enter uses and measures it, beside threads left free   Esc leaves");
}

/* ---- loads */

void perf_draw_loads(struct perf_view *v, struct tui_area screen) {
    struct tui_area in = tui_overlay(screen, 60, v->menu_list.n + 7, "a load that competes");
    tui_list_show(&v->menu_list, v->menu_list.n);
    for (int y = 0; y < v->menu_list.n; y++) {
        tui_text(in, 3, y, TUI_TEXT, tui_perf_load_name((enum tui_perf_load)(y + 1)));
        if (y != v->menu_list.cursor) continue;
        tui_put(in, 1, y, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_mark_row(in, y, TUI_SELECTED);
    }
    char text[160];
    snprintf(text, sizeof text, "What is measured meanwhile is kept apart. s ends it; so does leaving this view, and in any case %d minutes.",
             TUI_PERF_LOAD_SECONDS / 60);
    tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), v->menu_list.n + 1, TUI_DERIVED, text);
    tui_text(in, 1, in.h - 1, TUI_DIM, "Enter begins   Esc leaves");
}
