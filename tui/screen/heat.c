/* heat.c - a matrix on the screen.
 *
 * Where a column has five characters the figures themselves stand there; where it has fewer, a character (and a colour)
 * per cell. A matrix with more rows or columns than the area shares cells, and a cell shows the value of largest
 * magnitude: an outlier must not vanish in an average. One long row, a vector, is folded into lines. The cursor is marked
 * at the edges, not in the cell, so that it hides nothing and needs no colour. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/screen/widget.h"

enum { FIGURE = 5, WIDE_FIGURE = 7 };    /* columns of a figure with the blank before it, at least and at most */

float tui_heat_scale(const struct cut_stats *s) {
    float most = fmaxf(fabsf(s->min), fabsf(s->max)), usual = 4 * s->rms;
    if (!(most > 0)) return 1;
    return usual > 0 && usual < most ? usual : most;
}

/* How the matrix meets the area. */
struct layout {
    int x0, y0, rows, cols;     /* the body, in cells */
    int cell_w;
    int64_t per_r, per_c;       /* values a cell stands for */
    int64_t line;               /* folded: values in a line, a multiple of per_c */
    int64_t first;              /* the first row shown, where not all are */
    bool figures;
};

static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

static int power_of_two(int most) {
    int p = 1;
    while (p * 2 <= most) p *= 2;
    return p;
}

static int figure_width(int room) { return room < WIDE_FIGURE ? room : WIDE_FIGURE; }

static struct layout place(struct tui_area a, const struct tui_heat *h) {
    struct layout l = { .x0 = h->label_w + 2, .y0 = h->bare ? 0 : 1, .per_r = 1, .per_c = 1, .cell_w = 1 };
    int w = a.w - l.x0, rows = a.h - l.y0;
    if (w < 1 || rows < 1) return l;
    if (h->rows == 1 && h->cols * 3 > w) {                   /* a vector: lines of a power of two */
        int per_line = power_of_two(w);
        l.figures = h->numbers && w >= FIGURE && ceil_div(h->cols, power_of_two(w / FIGURE)) <= rows;
        if (l.figures) per_line = power_of_two(w / FIGURE);
        else while (per_line > 8 && w / per_line < 2 && ceil_div(h->cols, per_line / 2) <= rows) per_line /= 2;
        l.per_c = ceil_div(h->cols, (int64_t)per_line * rows);
        l.cols = per_line;
        l.line = per_line * l.per_c;
        l.rows = (int)ceil_div(h->cols, l.line);
        l.cell_w = l.figures ? figure_width(w / per_line) : w / per_line > 3 ? 3 : w / per_line;
        return l;
    }
    if (h->window && h->rows > rows) {
        l.rows = rows;
        int64_t near = h->row < 0 ? h->mark : h->row;
        l.first = near < rows / 2 ? 0 : near - rows / 2;
        if (l.first > h->rows - rows) l.first = h->rows - rows;
    } else {
        l.per_r = ceil_div(h->rows, rows);
        l.rows = (int)ceil_div(h->rows, l.per_r);
    }
    l.figures = h->numbers && h->cols * FIGURE <= w;
    l.per_c = l.figures ? 1 : ceil_div(h->cols, w);
    l.cols = (int)ceil_div(h->cols, l.per_c);
    l.cell_w = l.figures ? figure_width(w / l.cols) : w / l.cols > 3 ? 3 : w / l.cols;
    return l;
}

/* The value of largest magnitude in a cell; NAN when there is none. */
static float cell_value(const struct tui_heat *h, const struct layout *l, int r, int c) {
    float best = NAN;
    int64_t r0 = l->line ? 0 : l->first + r * l->per_r, r1 = l->line ? 1 : r0 + l->per_r;
    int64_t c0 = l->line ? r * l->line + c * l->per_c : c * l->per_c, c1 = c0 + l->per_c;
    if (r1 > h->rows) r1 = h->rows;
    if (c1 > h->cols) c1 = h->cols;
    for (int64_t i = r0; i < r1; i++) {
        for (int64_t j = c0; j < c1; j++) {
            float v = h->data[i * h->cols + j];
            if (!isnan(v) && (isnan(best) || fabsf(v) > fabsf(best))) best = v;
        }
    }
    return best;
}

/* Shares of a whole need no exponents: three places, or a point for what they do not show. */
static const char *figure(const struct tui_heat *h, float v, int w, char *buf) {
    if (!h->unsigned_ || h->scale != 1 || v >= 0.9995f) return tui_num(v, w, buf);
    if (v < 0.0005f) return strcpy(buf, ".");
    char s[16];
    snprintf(s, sizeof s, "%.*f", w < 4 ? 2 : 3, (double)v);
    return strcpy(buf, s + 1);
}

static void draw_cell(struct tui_area a, int x, int y, const struct tui_heat *h, const struct layout *l, float v) {
    if (isnan(v)) return;
    float part = v / h->scale;
    int level = h->unsigned_ ? (int)ceilf(part * 9 - 0.05f) : (int)lroundf(fmaxf(-1, fminf(1, part)) * 5);
    level = level > 9 ? 9 : h->unsigned_ && level < 0 ? 0 : level;
    tui_style role = h->unsigned_ ? (tui_style)(TUI_SEQ0 + level) : (tui_style)(TUI_DIV0 + 5 + level);
    if (l->figures) {
        char num[16];
        tui_style st = a.g->fills ? role | TUI_FILL : TUI_TEXT;
        for (int i = 0; i < l->cell_w; i++) tui_put(a, x + i, y, st, ' ');
        tui_text_right(a, x + l->cell_w, y, st, figure(h, v, l->cell_w - 1, num));
        return;
    }
    uint32_t glyph = h->unsigned_ ? tui_ramp(a.g, level) : tui_signed_ramp(a.g, level);
    if (a.g->fills) glyph = level < 0 ? '-' : ' ';           /* the colour shows the size, the texture the sign */
    for (int i = 0; i < l->cell_w; i++) {
        bool gap = l->cell_w > 2 && i == l->cell_w - 1 && !a.g->fills;
        tui_put(a, x + i, y, a.g->fills ? role | TUI_FILL | TUI_FAINT : role, gap ? ' ' : glyph);
    }
}

/* The line above: column numbers or labels, and where the cursor's column is. */
static void draw_header(struct tui_area a, const struct tui_heat *h, const struct layout *l) {
    char buf[32];
    int64_t at = l->line ? h->col % l->line : h->col;
    int cursor_x = l->x0 + (int)(at / l->per_c) * l->cell_w;
    bool labels = h->col_label && !l->line && l->cell_w > 1;
    for (int c = 0, free_x = 0; c < l->cols; c++) {
        int x = l->x0 + c * l->cell_w;
        if (labels) {
            int room = l->cell_w > 2 ? l->cell_w - 1 : l->cell_w, pad = l->figures ? 1 : 0;
            const char *s = h->col_label(h->user, c * l->per_c, buf);
            struct tui_area cut = tui_part(a, x + pad, 0, room, 1);
            if (l->figures && tui_text_width(a.g, s) < room) tui_text_right(cut, room, 0, TUI_DIM, s);
            else tui_text(cut, 0, 0, TUI_DIM, s);
            continue;
        }
        snprintf(buf, sizeof buf, "%d", (int)(c * l->per_c));
        if (c % (l->figures ? 1 : 8) == 0 && x >= free_x && x + (int)l->cell_w <= a.w) {
            if (l->figures) tui_text_right(a, x + l->cell_w, 0, TUI_DIM, buf);
            else free_x = tui_text(a, x, 0, TUI_DIM, buf) + 1;
        }
    }
    if (h->row < 0) return;
    int x = l->figures ? cursor_x + l->cell_w - 1 : cursor_x;
    if (labels && l->figures) {
        tui_mark_row(tui_part(a, cursor_x + 1, 0, l->cell_w - 1, 1), 0, TUI_SELECTED);
        x = cursor_x;
    }
    tui_put(a, x, 0, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_DOWN));
}

void tui_heat_draw(struct tui_area a, struct tui_heat *h) {
    struct layout l = place(a, h);
    h->line = l.line;
    h->per_cell_r = l.per_r;
    h->per_cell_c = l.per_c;
    if (!h->data || l.rows < 1) return;
    if (!h->bare) draw_header(a, h, &l);
    int64_t cursor_line = h->row < 0 ? -1 : l.line ? h->col / l.line : (h->row - l.first) / l.per_r;
    for (int r = 0; r < l.rows; r++) {
        char buf[32];
        int64_t row = l.line ? r * l.line : l.first + r * l.per_r;
        bool here = r == cursor_line, marked = !l.line && h->mark >= l.first && (h->mark - l.first) / l.per_r == r;
        const char *s = buf;
        if (l.line) snprintf(buf, sizeof buf, "%*d", h->label_w, (int)row);
        else s = h->row_label(h->user, row, buf);
        tui_text_fit(a, 1, 1 + h->label_w, l.y0 + r, here || marked ? TUI_TITLE : TUI_DIM, s);
        if (here) tui_put(a, 0, l.y0 + r, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        else if (marked) tui_put(a, 0, l.y0 + r, TUI_DIM, tui_glyph(a.g, TUI_G_HERE));
        for (int c = 0; c < l.cols; c++) draw_cell(a, l.x0 + c * l.cell_w, l.y0 + r, h, &l, cell_value(h, &l, r, c));
    }
    if (cursor_line < 0) return;
    int64_t at = l.line ? h->col % l.line : h->col;
    struct tui_area cell = tui_part(a, l.x0 + (int)(at / l.per_c) * l.cell_w, l.y0 + (int)cursor_line, l.cell_w, 1);
    tui_mark_row(cell, 0, TUI_REVERSE);
}

bool tui_heat_key(struct tui_heat *h, int key) {
    int64_t dr = 0, dc = 0, up = h->line ? h->line : 1;
    int64_t page = 8;
    switch (tui_key_move(key)) {
    case TUI_KEY_LEFT: dc = -h->per_cell_c; break;
    case TUI_KEY_RIGHT: dc = h->per_cell_c; break;
    case TUI_KEY_UP: dr = -1; break;
    case TUI_KEY_DOWN: dr = 1; break;
    case TUI_KEY_PAGE_UP: dr = -page; break;
    case TUI_KEY_PAGE_DOWN: dr = page; break;
    case TUI_KEY_HOME: dc = -h->cols; break;
    case TUI_KEY_END: dc = h->cols; break;
    default: return false;
    }
    int64_t col = h->col + dc + (h->line ? dr * up : 0), row = h->row + (h->line ? 0 : dr * h->per_cell_r);
    if (h->line && dr && (col < 0 || col >= h->cols)) col = h->col;
    h->col = col < 0 ? 0 : col >= h->cols ? h->cols - 1 : col;
    h->row = row < 0 ? 0 : row >= h->rows ? h->rows - 1 : row;
    return true;
}

int tui_heat_legend(struct tui_area a, int x1, int y, const struct tui_heat *h) {
    char num[16];
    int levels = h->unsigned_ ? 10 : 11;
    tui_num(h->scale, 5, num);
    int x = x1 - (int)(levels + 2 + tui_text_width(a.g, num) + (h->unsigned_ ? 1 : tui_text_width(a.g, num) + 1));
    int start = x;
    x = h->unsigned_ ? tui_text(a, x, y, TUI_DIM, "0 ") : tui_textf(a, x, y, TUI_DIM, "-%s ", num);
    for (int i = 0; i < levels; i++) {
        int level = h->unsigned_ ? i : i - 5;
        uint32_t glyph = h->unsigned_ ? tui_ramp(a.g, level) : tui_signed_ramp(a.g, level);
        tui_style role = h->unsigned_ ? (tui_style)(TUI_SEQ0 + i) : (tui_style)(TUI_DIV0 + i);
        if (a.g->fills) glyph = level < 0 ? '-' : ' ';
        tui_put(a, x++, y, a.g->fills ? role | TUI_FILL | TUI_FAINT : role, glyph);
    }
    tui_textf(a, x, y, TUI_DIM, " %s", num);
    return start;
}
