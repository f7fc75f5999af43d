/* learn_doc.c - text that scrolls: prose, code, verdicts, broken into rows of a pane's width. */
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/view/learn.h"

enum { TAB = 4, HANG = 2 };            /* a row that continues another stands this much further in */

/* The first n bytes of s. free() it. */
static char *copy(const char *s, size_t n) { return memcpy(tui_alloc(n + 1, 1), s, n); }

/* ---- rows */

void learn_doc_begin(struct learn_doc *d, const struct tui_grid *g, int w) {
    for (int i = 0; i < d->n; i++) free(d->row[i].text);
    d->n = 0;
    d->g = g;
    d->w = w;
}

void learn_doc_done(struct learn_doc *d) {
    learn_doc_begin(d, NULL, 0);
    free(d->row);
    *d = (struct learn_doc){ 0 };
}

static struct learn_row *add_row(struct learn_doc *d) {
    if (d->n == d->cap) d->row = tui_resize(d->row, (size_t)(d->cap = d->cap ? 2 * d->cap : 64), sizeof *d->row);
    return memset(&d->row[d->n++], 0, sizeof *d->row);
}

void learn_doc_blank(struct learn_doc *d) { add_row(d); }

void learn_doc_rule(struct learn_doc *d, const char *title) {
    struct learn_row *r = add_row(d);
    r->rule = true;
    r->text = tui_strdup(title);
}

/* ---- breaking lines */

/* One line with tabs as blanks. free() it. */
static char *expand_tabs(const char *s, size_t n) {
    size_t len = 0;
    char *line = tui_alloc(n * TAB + 1, 1);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\r' && i + 1 == n) break;
        if (s[i] != '\t') line[len++] = s[i];
        else do line[len++] = ' '; while (len % TAB);
    }
    return line;
}

/* The bytes of s that fit w columns, up to a blank where there is one behind the indentation. At least one character. */
static size_t fitting(const struct tui_grid *g, const char *s, int w) {
    size_t at = 0, blank = 0, indent = strspn(s, " ");
    char one[8];
    while (s[at]) {
        uint32_t cp;
        int k = cut_utf8_decode(s + at, strnlen(s + at, 4), &cp);
        if (k < 1) k = 1;
        memcpy(one, s + at, (size_t)k);
        one[k] = 0;
        w -= tui_text_width(g, one);
        if (w < 0 && one[0] != ' ') return blank ? blank : at ? at : (size_t)k;
        if (one[0] == ' ' && at > indent) blank = at;
        at += (size_t)k;
    }
    return at;
}

/* Bytes of a line of Lua before its comment. A "--" within quotes is none; long brackets are not looked for. */
static size_t before_comment(const char *s) {
    char quote = 0;
    size_t i = 0;
    for (; s[i]; i++) {
        if (quote) {
            if (s[i] == '\\' && s[i + 1]) i++;
            else if (s[i] == quote) quote = 0;
        } else if (s[i] == '"' || s[i] == '\'') quote = s[i];
        else if (s[i] == '-' && s[i + 1] == '-') break;
    }
    return i;
}

static void add_line(struct learn_doc *d, int x, tui_style st, enum learn_ink ink, char *line) {
    size_t quiet = ink == LEARN_CODE ? before_comment(line) : SIZE_MAX, done = 0, indent = strspn(line, " ");
    int hang = (int)indent + HANG;
    if (hang > (d->w - x) / 2) hang = HANG;
    do {
        int at = done && ink == LEARN_CODE ? x + hang : x;
        size_t n = fitting(d->g, line + done, d->w - at > 1 ? d->w - at : 1);
        struct learn_row *r = add_row(d);
        r->x = at;
        r->st = st;
        r->ink = ink;
        r->quiet = quiet > done ? quiet - done : 0;
        r->text = copy(line + done, n);
        done += n;
        done += strspn(line + done, " ");
    } while (line[done]);
}

void learn_doc_text(struct learn_doc *d, int x, tui_style st, enum learn_ink ink, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = expand_tabs(text, n);
        add_line(d, x, st, ink, line);
        free(line);
        text += n + (text[n] == '\n');
    }
}

void learn_doc_item(struct learn_doc *d, tui_style label_st, const char *label, int x, tui_style st, enum learn_ink ink,
                    const char *text) {
    int first = d->n;
    learn_doc_text(d, x, st, ink, *text ? text : "\n");
    snprintf(d->row[first].label, sizeof d->row[first].label, "%s", label);
    d->row[first].label_st = label_st;
}

/* ---- drawing */

/* Bytes [0, n) of s in one style; returns the column after them. */
static int draw_span(struct tui_area a, int x, int y, tui_style st, const char *s, size_t n) {
    char *span = copy(s, n);
    x = tui_text(a, x, y, st, span);
    free(span);
    return x;
}

static void draw_prose(struct tui_area a, int x, int y, tui_style st, const char *s) {
    for (bool code = false; *s; code = !code) {
        size_t n = strcspn(s, "`");
        bool closed = s[n] == '`';
        x = draw_span(a, x, y, code ? TUI_TITLE : st, s, n);
        s += n;
        if (!closed) break;
        x = draw_span(a, x, y, TUI_DIM, s++, 1);
    }
}

static void draw_row(struct tui_area a, int y, const struct learn_row *r) {
    if (r->rule) {
        tui_rule(a, y, r->text);
        return;
    }
    if (r->label[0]) tui_text(a, 0, y, r->label_st, r->label);
    if (r->right[0]) tui_text_right(a, a.w, y, TUI_DIM, r->right);
    if (!r->text) return;
    if (r->ink == LEARN_PROSE) {
        draw_prose(a, r->x, y, r->st, r->text);
    } else if (r->ink == LEARN_CODE) {
        size_t n = strlen(r->text), quiet = r->quiet < n ? r->quiet : n;
        int x = draw_span(a, r->x, y, r->st, r->text, quiet);
        tui_text(a, x, y, r->st == TUI_TEXT ? TUI_DIM : r->st, r->text + quiet);
    } else {
        tui_text(a, r->x, y, r->st, r->text);
    }
}

void learn_doc_draw(struct tui_area a, const struct learn_doc *d, int *top) {
    if (*top > d->n - a.h) *top = d->n - a.h;
    if (*top < 0) *top = 0;
    for (int y = 0; y < a.h && *top + y < d->n; y++) draw_row(a, y, &d->row[*top + y]);
}
