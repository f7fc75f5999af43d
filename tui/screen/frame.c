/* frame.c - borders, key lines, cards. */
#include <stdio.h>
#include <string.h>

#include "tui/screen/widget.h"

static void border(struct tui_area a, bool focus) {
    int first = focus ? TUI_G_FH : TUI_G_H;
    tui_style st = focus ? TUI_FOCUS : TUI_BORDER;
    uint32_t h = tui_glyph(a.g, (enum tui_glyph)first), v = tui_glyph(a.g, (enum tui_glyph)(first + 1));
    for (int x = 1; x < a.w - 1; x++) {
        tui_put(a, x, 0, st, h);
        tui_put(a, x, a.h - 1, st, h);
    }
    for (int y = 1; y < a.h - 1; y++) {
        tui_put(a, 0, y, st, v);
        tui_put(a, a.w - 1, y, st, v);
    }
    tui_put(a, 0, 0, st, tui_glyph(a.g, (enum tui_glyph)(first + 2)));
    tui_put(a, a.w - 1, 0, st, tui_glyph(a.g, (enum tui_glyph)(first + 3)));
    tui_put(a, 0, a.h - 1, st, tui_glyph(a.g, (enum tui_glyph)(first + 4)));
    tui_put(a, a.w - 1, a.h - 1, st, tui_glyph(a.g, (enum tui_glyph)(first + 5)));
}

struct tui_area tui_pane(struct tui_area a, const char *title, const char *right, bool focus) {
    border(a, focus);
    int right_w = right && *right ? tui_text_width(a.g, right) + 3 : 0;
    if (title && *title && a.w > 6) {
        tui_put(a, 2, 0, TUI_TEXT, ' ');
        int x = tui_text_fit(a, 3, a.w - 3 - right_w, 0, focus ? TUI_FOCUS | TUI_BOLD : TUI_TITLE, title);
        tui_put(a, x, 0, TUI_TEXT, ' ');
    }
    if (right_w && a.w > right_w + 8) {
        int x = tui_text_right(a, a.w - 3, 0, TUI_DIM, right);
        tui_put(a, x - 1, 0, TUI_TEXT, ' ');
        tui_put(a, a.w - 3, 0, TUI_TEXT, ' ');
    }
    return tui_part(a, 1, 1, a.w - 2, a.h - 2);
}

struct tui_area tui_overlay(struct tui_area screen, int w, int h, const char *title) {
    if (w > screen.w - 6) w = screen.w;        /* no slivers of the screen below at its sides */
    if (h > screen.h - 4) h = screen.h;
    struct tui_area a = tui_part(screen, (screen.w - w) / 2, (screen.h - h) / 2, w, h);
    tui_fill(a, TUI_TEXT, ' ');
    return tui_pane(a, title, NULL, true);
}

void tui_rule(struct tui_area a, int y, const char *title) {
    for (int x = 0; x < a.w; x++) tui_put(a, x, y, TUI_BORDER, tui_glyph(a.g, TUI_G_RULE));
    if (!title || !*title) return;
    tui_put(a, 1, y, TUI_TEXT, ' ');
    int x = tui_text_fit(a, 2, a.w - 1, y, TUI_DIM, title);
    tui_put(a, x, y, TUI_TEXT, ' ');
}

/* One "key label" pair; returns the columns it takes, drawing only when asked. */
static int key_item(struct tui_area row, int x, const struct tui_key *keys, size_t n, size_t i, bool draw) {
    char group[48];
    tui_key_group(keys, n, i, group);
    int w = tui_text_width(row.g, group) + 1 + tui_text_width(row.g, keys[i].label);
    if (!keys[i].label[0]) w--;
    if (draw) {
        x = tui_text(row, x, 0, TUI_KEY | TUI_BOLD, group);
        if (keys[i].label[0]) tui_text(row, x + 1, 0, TUI_TEXT, keys[i].label);
    }
    return w + 2;
}

void tui_key_line(struct tui_area row, const struct tui_key *keys, size_t n, const struct tui_key *tail, size_t n_tail) {
    int tail_w = 0, x = 0;
    for (size_t i = 0; i < n_tail; i++)
        if (tail[i].label && tail[i].label[0]) tail_w += key_item(row, 0, tail, n_tail, i, false);
    for (size_t i = 0; i < n; i++) {
        if (!keys[i].label || !keys[i].label[0]) continue;
        int w = key_item(row, 0, keys, n, i, false);
        if (x + w > row.w - tail_w + 2) break;
        x += key_item(row, x, keys, n, i, true);
    }
    x = row.w - tail_w + 2;
    for (size_t i = 0; i < n_tail; i++)
        if (tail[i].label && tail[i].label[0]) x += key_item(row, x, tail, n_tail, i, true);
}

void tui_too_small(struct tui_area screen, int need_w, int need_h) {
    int y = screen.h / 2 - 1;
    char line[3][64];
    snprintf(line[0], 64, "This window has %d columns, %d rows.", screen.w, screen.h);
    snprintf(line[1], 64, "Cutaway needs %d by %d:", need_w, need_h);
    snprintf(line[2], 64, "enlarge it, or press q to quit.");
    for (int i = 0; i < 3; i++) {
        int x = (screen.w - (int)strlen(line[i])) / 2;
        tui_text_fit(screen, x > 0 ? x : 0, screen.w, y + i < 0 ? i : y + i, i ? TUI_TEXT : TUI_TITLE, line[i]);
    }
}

int tui_key_help(struct tui_area a, int y, const struct tui_key *keys, size_t n) {
    enum { KEY_W = 9 };                        /* "Tab/S-Tab" */
    char group[48];
    for (size_t i = 0; i < n; i++) {
        if (!keys[i].label || !keys[i].help) continue;
        tui_text_right(a, KEY_W, y, TUI_KEY | TUI_BOLD, tui_key_group(keys, n, i, group));
        tui_text_fit(a, KEY_W + 2, a.w, y++, TUI_TEXT, keys[i].help);
    }
    return y;
}

void tui_field(struct tui_area a, int x, int y, int label_w, const char *label, tui_style st, const char *value) {
    tui_text(a, x, y, TUI_DIM, label);
    tui_text_fit(a, x + label_w, a.w, y, st, value);
}
