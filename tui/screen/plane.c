/* plane.c - points and lines in a plane, in three levels: braille, quadrant blocks, ASCII.
 *
 * A cell is divided into 2 x 4 dots (braille), 2 x 2 (blocks) or none; the dots a cell already shows are read back from its
 * character, so lines that cross share a cell and no canvas is needed beside the grid. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/widget.h"

/* ---- dots of a cell */

/* Unicode 16.0, section 21.1: the bits of a braille pattern, by row and column. */
static const uint8_t braille_bit[4][2] = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };
/* Quadrants: upper left 1, upper right 2, lower left 4, lower right 8. */
static const uint32_t quadrant[16] = { ' ',    0x2598, 0x259D, 0x2580, 0x2596, 0x258C, 0x259E, 0x259B,
                                       0x2597, 0x259A, 0x2590, 0x259C, 0x2584, 0x2599, 0x259F, 0x2588 };

static int dots_down(const struct tui_plane *p) { return p->level == TUI_PLANE_BRAILLE ? 4 : p->level == TUI_PLANE_BLOCK ? 2 : 1; }
static int dots_across(const struct tui_plane *p) { return p->level == TUI_PLANE_ASCII ? 1 : 2; }

/* The dots a character shows; -1: it is none of dots. */
static int bits_of(const struct tui_plane *p, uint32_t glyph) {
    if (glyph == ' ') return 0;
    if (p->level == TUI_PLANE_BRAILLE) return glyph >= 0x2800 && glyph <= 0x28FF ? (int)(glyph - 0x2800) : -1;
    for (int i = 1; i < 16; i++)
        if (quadrant[i] == glyph) return i;
    return -1;
}

/* Dot (x, y) of the plane, counted from its upper left. */
static void put_dot(const struct tui_plane *p, int x, int y, tui_style st, char ascii) {
    int across = dots_across(p), down = dots_down(p), cx = x / across, cy = y / down;
    if (x < 0 || y < 0 || cx >= p->a.w || cy >= p->a.h) return;
    uint32_t now = p->a.g->cells[(p->a.y + cy) * p->a.g->w + p->a.x + cx].glyph;
    if (p->level == TUI_PLANE_ASCII) {
        if (now == ' ') tui_put(p->a, cx, cy, st, (uint32_t)ascii);
        return;
    }
    int bits = bits_of(p, now);
    if (bits < 0) return;
    if (p->level == TUI_PLANE_BRAILLE) tui_put(p->a, cx, cy, st, 0x2800u + (uint32_t)(bits | braille_bit[y % 4][x % 2]));
    else tui_put(p->a, cx, cy, st, quadrant[bits | 1 << (y % 2 * 2 + x % 2)]);
}

/* ---- from places to dots */

/* 0 at lo, 1 at hi. */
static double along(struct tui_axis a, double v) {
    if (a.log) return v > 0 ? log(v / a.lo) / log(a.hi / a.lo) : -1;
    return (v - a.lo) / (a.hi - a.lo);
}

/* The dot of n whose share of the axis the place lies in: both ends are dots. */
static int place(double part, int n) {
    double at = part * (n - 1);
    return at < -1e6 ? -1000000 : at > 1e6 ? 1000000 : (int)lround(at);
}

static int dot_x(const struct tui_plane *p, double x) { return place(along(p->x, x), p->a.w * dots_across(p)); }
static int dot_y(const struct tui_plane *p, double y) { return place(1 - along(p->y, y), p->a.h * dots_down(p)); }

int tui_plane_col(const struct tui_plane *p, double x) { return (int)floor((double)dot_x(p, x) / dots_across(p)); }
int tui_plane_row(const struct tui_plane *p, double y) { return (int)floor((double)dot_y(p, y) / dots_down(p)); }

void tui_plane_dot(const struct tui_plane *p, double x, double y, tui_style st, char ascii) {
    put_dot(p, dot_x(p, x), dot_y(p, y), st, ascii);
}

void tui_plane_mark(const struct tui_plane *p, double x, double y, tui_style st, uint32_t glyph) {
    int cx = tui_plane_col(p, x), cy = tui_plane_row(p, y);
    if (cx >= 0 && cy >= 0 && cx < p->a.w && cy < p->a.h) tui_put(p->a, cx, cy, st, glyph);
}

void tui_plane_line(const struct tui_plane *p, double x0, double y0, double x1, double y1, tui_style st, char ascii, int nth) {
    int ax = dot_x(p, x0), ay = dot_y(p, y0), bx = dot_x(p, x1), by = dot_y(p, y1);
    int n = abs(bx - ax) > abs(by - ay) ? abs(bx - ax) : abs(by - ay), most = 4 * (p->a.w + p->a.h) * 4;
    if (n > most) n = most;                    /* far outside: steps larger than a dot miss nothing that is seen as a line */
    for (int i = 0; i <= n; i += nth > 0 ? nth : 1) {
        double t = n ? (double)i / n : 0;
        put_dot(p, (int)lround(ax + t * (bx - ax)), (int)lround(ay + t * (by - ay)), st, ascii);
    }
}

/* ---- axes */

int tui_ticks(struct tui_axis a, int most, double *out) {
    static const double nice[] = { 1, 2, 5, 10 };
    int n = 0;
    if (most > 16) most = 16;
    if (most < 1 || !(a.hi > a.lo)) return 0;
    if (a.log) {
        int from = (int)ceil(log10(a.lo) - 1e-9), to = (int)floor(log10(a.hi) + 1e-9), by = 1;
        while ((to - from) / by + 1 > most) by++;
        for (int e = from; e <= to; e += by) out[n++] = pow(10, e);
        return n;
    }
    double size = pow(10, floor(log10((a.hi - a.lo) / most))), step = size;
    for (int i = 0; i < 4; i++) {
        step = size * nice[i];
        if (floor(a.hi / step + 1e-9) - ceil(a.lo / step - 1e-9) + 1 <= most) break;
    }
    for (double k = ceil(a.lo / step - 1e-9); k * step <= a.hi + 1e-9 * step && n < most; k++) out[n++] = k * step + 0.0;      /* no -0 */
    return n;
}

const char *tui_tick_text(double v, char *buf) {
    static const char unit[] = " kMGT";
    int u = 0;
    if (v < 1 && v > 0) {
        snprintf(buf, 16, "%.3g", v);
        if (buf[0] == '0' && buf[1] == '.') memmove(buf, buf + 1, strlen(buf));
        return buf;
    }
    while ((v >= 9999.5 || (u && v >= 999.5)) && u < 4) v /= 1000, u++;
    if (u) snprintf(buf, 16, "%.3g%c", v, unit[u]);
    else snprintf(buf, 16, "%.4g", v);
    return buf;
}

struct tui_plane tui_plane_open(struct tui_area a, struct tui_axis x, struct tui_axis y, int label_w, enum tui_plane_level level) {
    struct tui_plane p = { tui_part(a, label_w + 1, 0, a.w - label_w - 1, a.h - 2), x, y, a.g->ascii ? TUI_PLANE_ASCII : level };
    double tick[16];
    char text[16];
    if (p.a.w < 2 || p.a.h < 2) return p;
    for (int r = 0; r < p.a.h; r++) tui_put(a, label_w, r, TUI_BORDER, tui_glyph(a.g, TUI_G_V));
    tui_put(a, label_w, p.a.h, TUI_BORDER, tui_glyph(a.g, a.g->ascii ? TUI_G_TL : TUI_G_BL));
    for (int c = 0; c < p.a.w; c++) tui_put(a, label_w + 1 + c, p.a.h, TUI_BORDER, tui_glyph(a.g, TUI_G_H));
    int n = tui_ticks(y, p.a.h / 2 < 8 ? p.a.h / 2 : 8, tick);
    for (int i = 0; i < n; i++) tui_text_right(a, label_w, tui_plane_row(&p, tick[i]), TUI_DIM, tui_tick_text(tick[i], text));
    n = tui_ticks(x, p.a.w / 6, tick);
    for (int i = 0, free_from = 0; i < n; i++) {
        int w = (int)strlen(tui_tick_text(tick[i], text)), at = label_w + 1 + tui_plane_col(&p, tick[i]) - (w - 1) / 2;
        if (at + w > a.w) at = a.w - w;
        if (at < free_from) continue;
        tui_text(a, at, p.a.h + 1, TUI_DIM, text);
        free_from = at + w + 1;
    }
    return p;
}
