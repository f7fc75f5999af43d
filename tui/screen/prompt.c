/* prompt.c - a line editor with history and completion. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/screen/widget.h"

void tui_complete_add(struct tui_completions *c, const char *fmt, ...) {
    char buf[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    c->line = tui_resize(c->line, (size_t)c->n + 1, sizeof *c->line);
    c->line[c->n++] = tui_strdup(buf);
}

static void set_text(struct tui_prompt *p, const char *text) {
    snprintf(p->text, sizeof p->text, "%s", text);
    p->len = p->at = strlen(p->text);
}

void tui_prompt_start(struct tui_prompt *p, const char *text) {
    set_text(p, text);
    p->browse = p->n_history;
    p->fresh[0] = 0;
}

void tui_prompt_remember(struct tui_prompt *p) {
    if (!p->len || (p->n_history && !strcmp(p->history[p->n_history - 1], p->text))) return;
    p->history = tui_resize(p->history, (size_t)p->n_history + 1, sizeof *p->history);
    p->history[p->n_history++] = tui_strdup(p->text);
}

void tui_prompt_done(struct tui_prompt *p) {
    for (int i = 0; i < p->n_history; i++) free(p->history[i]);
    free(p->history);
    p->history = NULL;
    p->n_history = 0;
}

/* ---- editing: positions are bytes, steps are characters */

static bool inside(char c) { return ((unsigned char)c & 0xC0) == 0x80; }      /* not the first byte of a character */

static size_t before(const struct tui_prompt *p, size_t at) {
    while (at > 0 && inside(p->text[--at])) continue;
    return at;
}

static size_t after(const struct tui_prompt *p, size_t at) {
    if (at < p->len) at++;
    while (at < p->len && inside(p->text[at])) at++;
    return at;
}

static void erase(struct tui_prompt *p, size_t from, size_t to) {
    memmove(p->text + from, p->text + to, p->len - to + 1);
    p->len -= to - from;
    p->at = from;
}

static void insert(struct tui_prompt *p, int key) {
    char bytes[4];
    size_t n = (size_t)cut_utf8_encode((uint32_t)key, bytes);
    if (p->len + n >= sizeof p->text) return;
    memmove(p->text + p->at + n, p->text + p->at, p->len - p->at + 1);
    memcpy(p->text + p->at, bytes, n);
    p->len += n;
    p->at += n;
}

static size_t word_start(const struct tui_prompt *p) {
    size_t at = p->at;
    while (at > 0 && p->text[at - 1] == ' ') at--;
    while (at > 0 && p->text[at - 1] != ' ') at--;
    return at;
}

static void browse(struct tui_prompt *p, int to) {
    if (to < 0 || to > p->n_history) return;
    if (p->browse == p->n_history) memcpy(p->fresh, p->text, p->len + 1);
    p->browse = to;
    set_text(p, to == p->n_history ? p->fresh : p->history[to]);
}

/* Extend the text to what all candidates share. */
static void complete(struct tui_prompt *p, tui_complete_fn fn, void *user) {
    struct tui_completions c = { 0 };
    fn(user, p->text, &c);
    if (c.n) {
        size_t same = strlen(c.line[0]);
        for (int i = 1; i < c.n; i++) {
            size_t k = 0;
            while (k < same && c.line[i][k] == c.line[0][k]) k++;
            same = k;
        }
        c.line[0][same] = 0;
        if (same >= p->len) set_text(p, c.line[0]);
    }
    for (int i = 0; i < c.n; i++) free(c.line[i]);
    free(c.line);
}

enum tui_prompt_result tui_prompt_key(struct tui_prompt *p, int key, tui_complete_fn fn, void *user) {
    switch (key) {
    case TUI_KEY_ENTER: return TUI_PROMPT_DONE;
    case TUI_KEY_ESC: case TUI_CTRL('c'): case TUI_CTRL('g'): return TUI_PROMPT_CANCELLED;
    case TUI_KEY_LEFT: p->at = before(p, p->at); break;
    case TUI_KEY_RIGHT: p->at = after(p, p->at); break;
    case TUI_KEY_HOME: case TUI_CTRL('a'): p->at = 0; break;
    case TUI_KEY_END: case TUI_CTRL('e'): p->at = p->len; break;
    case TUI_KEY_BACKSPACE:
        if (!p->len) return TUI_PROMPT_CANCELLED;            /* as in vim: rubbing out an empty line leaves it */
        erase(p, before(p, p->at), p->at);
        break;
    case TUI_KEY_DELETE: case TUI_CTRL('d'): erase(p, p->at, after(p, p->at)); break;
    case TUI_CTRL('u'): erase(p, 0, p->at); break;
    case TUI_CTRL('k'): erase(p, p->at, p->len); break;
    case TUI_CTRL('w'): erase(p, word_start(p), p->at); break;
    case TUI_KEY_UP: case TUI_CTRL('p'): browse(p, p->browse - 1); break;
    case TUI_KEY_DOWN: case TUI_CTRL('n'): browse(p, p->browse + 1); break;
    case TUI_KEY_TAB: if (fn) complete(p, fn, user); break;
    default: if (key >= ' ' && key < TUI_KEY_UP) insert(p, key); break;
    }
    return TUI_PROMPT_MORE;
}

void tui_prompt_draw(struct tui_area row, const char *label, const struct tui_prompt *p, const char *hint) {
    int x = tui_text(row, 0, 0, TUI_KEY | TUI_BOLD, label);
    struct tui_area text = tui_part(row, x, 0, row.w - x, 1);
    char head[sizeof p->text];
    memcpy(head, p->text, p->at);
    head[p->at] = 0;
    int cursor = tui_text_width(row.g, head), shift = cursor >= text.w ? cursor - text.w + 1 : 0;
    int end = tui_text(text, -shift, 0, TUI_TITLE, p->text);
    if (p->at == p->len) tui_put(text, cursor - shift, 0, TUI_TITLE | TUI_REVERSE, row.g->ascii ? '_' : ' ');
    else tui_mark_row(tui_part(text, cursor - shift, 0, 1, 1), 0, TUI_REVERSE);
    if (hint && p->at == p->len) tui_text_fit(text, end + 2, text.w, 0, TUI_DIM, hint);
}
