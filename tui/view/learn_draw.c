/* learn_draw.c - what the panes of the lab desk show, and where they stand.
 *
 *   80 columns           one at a time: the labs, the page, or the script above its checks; Tab turns
 *   120 columns          the page (or the labs) beside script and checks
 *   160 columns, tall    the labs above the page, beside the script above its checks
 *
 * A page is 76 columns wide (lab.h), so its pane is 80 at every size and never breaks a line; at 160 columns a script has
 * that much, too. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view/learn.h"

enum { PAGE_W = 80, PAGE_H = 26, MAX_PRINTED = 32 << 10, MAX_MARKS = 8 };

const struct cut_lab *learn_lab(const struct learn *v) { return v->at < 0 ? NULL : cut_labs_get(v->labs, v->at); }

bool learn_running(const struct learn *v) { return v->check && v->state == CUT_LAB_RUNNING; }

const struct cut_lab_line *learn_lines(const struct learn *v, int *n, int *passed) {
    const struct cut_lab_line *lines = NULL;
    *n = *passed = 0;
    if (v->check) lines = cut_lab_check_lines(v->check, n);
    for (int i = 0; i < *n; i++) *passed += lines[i].ok;
    return lines;
}

/* ---- where the panes stand */

/* The script above the checks. Where rows are few, the one with the focus gets more of them. */
static void split(struct learn *v, struct tui_area a) {
    int script = a.h * 5 / 9;
    if (a.h < 32) script = v->focus == LEARN_SCRIPT ? a.h * 2 / 3 : a.h / 3;
    v->area[LEARN_SCRIPT] = tui_cut_top(&a, script);
    v->area[LEARN_CHECK] = a;
}

static void arrange(struct learn *v, struct tui_area a) {
    memset(v->area, 0, sizeof v->area);
    if (a.w >= 2 * PAGE_W && a.h >= 36) {
        struct tui_area left = tui_cut_left(&a, PAGE_W);
        v->area[LEARN_TEXT] = tui_cut_bottom(&left, a.h < PAGE_H + 10 ? a.h - 10 : PAGE_H);
        v->area[LEARN_LABS] = left;
        split(v, a);
    } else if (a.w >= PAGE_W * 3 / 2) {
        v->area[v->focus == LEARN_LABS ? LEARN_LABS : LEARN_TEXT] = tui_cut_left(&a, PAGE_W);
        split(v, a);
    } else if (v->focus == LEARN_LABS || v->focus == LEARN_TEXT) {
        v->area[v->focus] = a;
    } else {
        split(v, a);
    }
}

/* ---- what they hold */

static void build_labs(struct learn *v, int *first, int *last) {
    struct learn_doc *d = &v->doc;
    *first = *last = 0;
    if (!v->labs) learn_doc_text(d, 0, TUI_BAD, LEARN_PLAIN, v->err.msg);
    else if (!v->n_labs) learn_doc_text(d, 0, TUI_WARN, LEARN_PLAIN, "There are no labs in this folder.");
    for (int i = 0; i < v->n_labs; i++) {
        const struct cut_lab *lab = cut_labs_get(v->labs, i);
        bool done = v->progress[i].done, now = i == v->at;
        char label[12];
        int row = d->n, w = d->w;
        snprintf(label, sizeof label, "  %c %.6s", lab->problem ? '!' : done ? '+' : now ? '*' : '.', lab->id);
        d->w -= 8;                             /* " 120 min" */
        learn_doc_item(d, lab->problem ? TUI_BAD : done ? TUI_GOOD : now ? TUI_KEY | TUI_BOLD : TUI_DIM, label, 9,
                       now ? TUI_TITLE | TUI_BOLD : TUI_TEXT, LEARN_PLAIN, lab->problem ? "cannot be used" : lab->title);
        d->w = w;
        if (lab->problem) learn_doc_text(d, 9, TUI_BAD, LEARN_PLAIN, lab->problem);
        else snprintf(d->row[row].right, sizeof d->row[row].right, "%d min", lab->minutes);
        if (i == v->cursor) *first = row, *last = d->n;
    }
    if (!v->n_labs) return;
    learn_doc_blank(d);
    learn_doc_text(d, 2, TUI_DIM, LEARN_PLAIN, "+ done  * now  . open");
}

static void build_page(struct learn *v) {
    struct learn_doc *d = &v->doc;
    const struct cut_lab *lab = learn_lab(v);
    if (!lab) {
        learn_doc_text(d, 0, TUI_TEXT, LEARN_PLAIN, "Choose a lab in the list and press Enter.");
        return;
    }
    const struct cut_lab_step *s = &lab->steps[v->progress[v->at].step];
    learn_doc_item(d, TUI_KEY | TUI_BOLD, s->kind, (int)strlen(s->kind) + 2, TUI_TITLE | TUI_BOLD, LEARN_PLAIN, s->title);
    learn_doc_blank(d);
    learn_doc_text(d, 0, TUI_TEXT, LEARN_PROSE, s->text);
    if (!s->task) return;
    learn_doc_blank(d);
    learn_doc_rule(d, "do this");
    learn_doc_text(d, 0, TUI_TITLE, LEARN_PROSE, s->task);
}

/* Lines of the script that messages name ("1.1.lua:12: ..."), at most MAX_MARKS. */
static int marked_lines(const struct learn *v, int mark[MAX_MARKS]) {
    int n_lines, passed, n = 0;
    const struct cut_lab_line *lines = learn_lines(v, &n_lines, &passed);
    size_t k = strlen(v->file.name);
    for (int i = 0; i < n_lines && n < MAX_MARKS; i++) {
        const char *at = lines[i].ok || !k ? NULL : strstr(lines[i].message, v->file.name);
        if (at && at[k] == ':' && isdigit((unsigned char)at[k + 1])) mark[n++] = atoi(at + k + 1);
    }
    return n;
}

static void build_script(struct learn *v) {
    struct learn_doc *d = &v->doc;
    int mark[MAX_MARKS], n_marks = v->solution ? 0 : marked_lines(v, mark), number = 0;
    const char *text = v->solution ? v->solution : v->file.text;
    if (!learn_lab(v)) return;
    if (!text) {
        learn_doc_text(d, 0, TUI_BAD, LEARN_PLAIN, v->file.problem.msg);
        return;
    }
    for (const char *end; *text; text = *end ? end + 1 : end) {
        char label[12], *line;
        bool marked = false;
        end = text + strcspn(text, "\n");
        number++;
        for (int i = 0; i < n_marks; i++) marked = marked || mark[i] == number;
        snprintf(label, sizeof label, "%3d%s", number, marked ? "!" : "");
        line = strndup(text, (size_t)(end - text));
        learn_doc_item(d, marked ? TUI_BAD | TUI_BOLD : TUI_DIM, label, 5, marked ? TUI_BAD : TUI_TEXT, LEARN_CODE,
                       line ? line : "");
        free(line);
    }
}

static void build_verdicts(struct learn *v) {
    struct learn_doc *d = &v->doc;
    int n, passed;
    const struct cut_lab_line *lines = learn_lines(v, &n, &passed);
    for (int i = 0; i < n; i++) {
        bool ok = lines[i].ok;
        learn_doc_item(d, ok ? TUI_GOOD : TUI_BAD | TUI_BOLD, ok ? "ok" : "FAIL", 6, ok ? TUI_TEXT : TUI_TITLE, LEARN_PLAIN,
                       lines[i].name);
        if (!ok) learn_doc_text(d, 6, TUI_TEXT, LEARN_PLAIN, lines[i].message);
    }
    switch (v->state) {
    case CUT_LAB_RUNNING: learn_doc_item(d, TUI_WARN, "..", 6, TUI_WARN, LEARN_PLAIN, "checking"); break;
    case CUT_LAB_CANCELLED: learn_doc_item(d, TUI_WARN, "--", 6, TUI_WARN, LEARN_PLAIN, "stopped before its end"); break;
    case CUT_LAB_BROKEN:
        learn_doc_item(d, TUI_BAD, "--", 6, TUI_BAD, LEARN_PLAIN, "The checker itself failed; your script may be right.");
        break;
    case CUT_LAB_PASSED: case CUT_LAB_FAILED: break;
    }
}

static void build_hints(struct learn *v) {
    struct learn_doc *d = &v->doc;
    const struct learn_progress *p = &v->progress[v->at];
    for (int i = 0; i < p->hints; i++) {
        char title[32];
        snprintf(title, sizeof title, "hint %d of 3", i + 1);
        learn_doc_blank(d);
        learn_doc_rule(d, title);
        learn_doc_text(d, 0, TUI_TEXT, LEARN_PROSE, learn_lab(v)->hints[i]);
    }
}

static void build_output(struct learn *v) {
    struct learn_doc *d = &v->doc;
    size_t len;
    const char *text = v->check ? cut_lab_check_output(v->check, &len) : "";
    if (!*text) return;
    learn_doc_blank(d);
    learn_doc_rule(d, "the script printed");
    if (len > MAX_PRINTED) {
        learn_doc_text(d, 0, TUI_WARN, LEARN_PLAIN, "(only the last 32 KiB)");
        text += len - MAX_PRINTED;
        while (*text && *text++ != '\n') {}
    }
    learn_doc_text(d, 0, TUI_TEXT, LEARN_PLAIN, text);
}

/* The verdicts, the hints opened so far, what the script printed. Returns the row after the hints. */
static int build_checks(struct learn *v) {
    struct learn_doc *d = &v->doc;
    if (!learn_lab(v)) return 0;
    if (v->edit_err.code) {
        learn_doc_text(d, 0, TUI_BAD, LEARN_PLAIN, v->edit_err.msg);
        learn_doc_blank(d);
    }
    if (v->check_err.code) learn_doc_text(d, 0, TUI_BAD, LEARN_PLAIN, v->check_err.msg);
    else if (v->check) build_verdicts(v);
    else learn_doc_text(d, 0, TUI_DIM, LEARN_PLAIN, "Not checked yet. r runs the checks now; saving the file does, too.");
    build_hints(v);
    int hints_end = d->n;
    build_output(v);
    return hints_end;
}

/* ---- drawing them */

static struct tui_area frame(struct learn *v, enum learn_pane p, const char *title, const char *right) {
    struct tui_area in = tui_pane(v->area[p], title, right, v->focus == p);
    int margin = p == LEARN_SCRIPT || p == LEARN_CHECK ? 3 : 2;    /* the scroll bar stands apart; a page has no room */
    struct tui_area body = tui_part(in, 1, 0, in.w - margin, in.h);
    learn_doc_begin(&v->doc, body.g, body.w);
    return body;
}

static void show_doc(struct learn *v, enum learn_pane p, struct tui_area body) {
    learn_doc_draw(body, &v->doc, &v->top[p]);
    v->rows[p] = v->doc.n;
    struct tui_list bar = { .n = v->doc.n, .top = v->top[p] };
    tui_scrollbar(tui_part(v->area[p], 1, 1, v->area[p].w - 2, body.h), v->area[p].w - 3, &bar);
}

static void draw_labs(struct learn *v) {
    int done = 0, first, last;
    char right[32] = "";
    for (int i = 0; i < v->n_labs; i++) done += v->progress[i].done;
    if (v->n_labs) snprintf(right, sizeof right, "%d of %d done", done, v->n_labs);
    struct tui_area body = frame(v, LEARN_LABS, "labs", right);
    build_labs(v, &first, &last);
    if (v->top[LEARN_LABS] > first) v->top[LEARN_LABS] = first;
    if (v->top[LEARN_LABS] < last - body.h) v->top[LEARN_LABS] = last - body.h;
    show_doc(v, LEARN_LABS, body);
    if (last > first) tui_put(body, 0, first - v->top[LEARN_LABS], TUI_KEY | TUI_BOLD, tui_glyph(body.g, TUI_G_CURSOR));
    for (int y = first; y < last; y++) tui_mark_row(body, y - v->top[LEARN_LABS], TUI_SELECTED);
}

static void draw_page(struct learn *v) {
    const struct cut_lab *lab = learn_lab(v);
    char title[128] = "lab", right[32] = "";
    if (lab) {
        snprintf(title, sizeof title, "lab %s  %s", lab->id, lab->title);
        snprintf(right, sizeof right, "page %d of %d", v->progress[v->at].step + 1, lab->n_steps);
    }
    struct tui_area body = frame(v, LEARN_TEXT, title, right);
    build_page(v);
    show_doc(v, LEARN_TEXT, body);
}

static void draw_script(struct learn *v) {
    struct tui_area body = frame(v, LEARN_SCRIPT, v->solution ? "solution.lua" : v->file.name[0] ? v->file.name : "script",
                                 v->solution ? "s: back to yours" : NULL);
    build_script(v);
    show_doc(v, LEARN_SCRIPT, body);
}

static void draw_checks(struct learn *v) {
    char right[48] = "";
    int n, passed;
    learn_lines(v, &n, &passed);
    if (learn_running(v) && tui_app_times(v->app)) snprintf(right, sizeof right, "%.1f s", cut_lab_check_seconds(v->check));
    else if (v->check && n && tui_app_times(v->app))
        snprintf(right, sizeof right, "%d of %d pass  %.2f s", passed, n, cut_lab_check_seconds(v->check));
    else if (v->check && n) snprintf(right, sizeof right, "%d of %d pass", passed, n);
    struct tui_area body = frame(v, LEARN_CHECK, "checks", right);
    int hints_end = build_checks(v);
    if (v->reveal) v->top[LEARN_CHECK] = hints_end > body.h ? hints_end - body.h : 0;
    v->reveal = false;
    show_doc(v, LEARN_CHECK, body);
}

void learn_draw(void *view, struct tui_area a) {
    static void (*const draw[LEARN_PANES])(struct learn *) = { draw_labs, draw_page, draw_script, draw_checks };
    struct learn *v = view;
    arrange(v, a);
    for (int p = 0; p < LEARN_PANES; p++)
        if (v->area[p].w) draw[p](v);
    v->drawn = cut_clock();
}

/* ---- the status line: what goes on with the learner's file */

void learn_status(void *view, struct tui_area row) {
    const struct learn *v = view;
    const struct cut_lab *lab = learn_lab(v);
    char text[PATH_MAX + 128] = "";
    tui_style st = TUI_TEXT;
    int n, passed;
    learn_lines(v, &n, &passed);
    if (!lab) {
        snprintf(text, sizeof text, "%s", v->n_labs ? "Enter opens a lab" : "");
    } else if (learn_running(v)) {
        st = TUI_WARN;
        if (!tui_app_times(v->app)) snprintf(text, sizeof text, "checking %s   Esc stops", v->file.name);
        else snprintf(text, sizeof text, "checking %s  %.1f s   Esc stops", v->file.name, cut_lab_check_seconds(v->check));
    } else if (v->file.problem.code) {
        st = TUI_BAD;
        snprintf(text, sizeof text, "%s", v->file.problem.msg);
    } else if (!v->check || v->state == CUT_LAB_BROKEN) {
        snprintf(text, sizeof text, "%s: saving runs the checks", v->file.shown);
    } else if (v->state == CUT_LAB_CANCELLED) {
        st = TUI_WARN;
        snprintf(text, sizeof text, "%s: the check was stopped", v->file.shown);
    } else if (v->state == CUT_LAB_PASSED) {
        st = TUI_GOOD;
        snprintf(text, sizeof text, "all %d checks pass: lab %s is done", n, lab->id);
    } else {
        snprintf(text, sizeof text, "%s: %d of %d checks pass", v->file.shown, passed, n);
    }
    tui_text_fit(row, 0, row.w, 0, st, text);
}
