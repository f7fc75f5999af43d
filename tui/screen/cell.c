/* cell.c - the grid, clipping, and text of any width. */
#include "tui/screen/cell.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cutaway.h"
#include "tui/screen/mem.h"

/* ---- the grid */

void tui_grid_clear(struct tui_grid *g) {
    for (int i = 0; i < g->w * g->h; i++) g->cells[i] = (struct tui_cell){ .glyph = ' ' };
}

void tui_grid_init(struct tui_grid *g, int w, int h, bool ascii) {
    *g = (struct tui_grid){ .ascii = ascii };
    tui_grid_resize(g, w, h);
}

void tui_grid_done(struct tui_grid *g) {
    free(g->cells);
    g->cells = NULL;
    g->w = g->h = 0;
}

void tui_grid_resize(struct tui_grid *g, int w, int h) {
    g->w = w > 0 ? w : 0;
    g->h = h > 0 ? h : 0;
    g->cells = tui_resize(g->cells, (size_t)g->w * (size_t)g->h, sizeof *g->cells);
    tui_grid_clear(g);
}

size_t tui_grid_row(const struct tui_grid *g, int y, char *buf) {
    size_t n = 0;
    for (int x = 0; x < g->w; x++) {
        const struct tui_cell *c = &g->cells[y * g->w + x];
        if (c->glyph) n += (size_t)cut_utf8_encode(c->glyph, buf + n);
        if (c->mark) n += (size_t)cut_utf8_encode(c->mark, buf + n);
    }
    buf[n] = 0;
    return n;
}

/* ---- areas */

struct tui_area tui_whole(struct tui_grid *g) { return (struct tui_area){ g, 0, 0, g->w, g->h }; }

struct tui_area tui_part(struct tui_area a, int x, int y, int w, int h) {
    if (x < 0) w += x, x = 0;
    if (y < 0) h += y, y = 0;
    if (x > a.w) x = a.w;
    if (y > a.h) y = a.h;
    if (w > a.w - x) w = a.w - x;
    if (h > a.h - y) h = a.h - y;
    return (struct tui_area){ a.g, a.x + x, a.y + y, w > 0 ? w : 0, h > 0 ? h : 0 };
}

struct tui_area tui_cut_top(struct tui_area *a, int rows) {
    struct tui_area top = tui_part(*a, 0, 0, a->w, rows);
    *a = tui_part(*a, 0, top.h, a->w, a->h - top.h);
    return top;
}

struct tui_area tui_cut_bottom(struct tui_area *a, int rows) {
    int keep = rows < a->h ? a->h - rows : 0;
    struct tui_area bottom = tui_part(*a, 0, keep, a->w, a->h - keep);
    a->h = keep;
    return bottom;
}

struct tui_area tui_cut_left(struct tui_area *a, int columns) {
    struct tui_area left = tui_part(*a, 0, 0, columns, a->h);
    *a = tui_part(*a, left.w, 0, a->w - left.w, a->h);
    return left;
}

struct tui_area tui_cut_right(struct tui_area *a, int columns) {
    int keep = columns < a->w ? a->w - columns : 0;
    struct tui_area right = tui_part(*a, keep, 0, a->w - keep, a->h);
    a->w = keep;
    return right;
}

/* ---- widths: the ranges of Unicode 15 that matter in running text, in the manner of Markus Kuhn's wcwidth. The C
 * library's own table depends on the locale, and so would our tests. */

struct range { uint32_t lo, hi; };

static const struct range combining[] = {
    { 0x0300, 0x036F }, { 0x0483, 0x0489 }, { 0x0591, 0x05BD }, { 0x05BF, 0x05BF }, { 0x05C1, 0x05C2 },
    { 0x0610, 0x061A }, { 0x064B, 0x065F }, { 0x0670, 0x0670 }, { 0x06D6, 0x06DC }, { 0x06DF, 0x06E4 },
    { 0x0900, 0x0902 }, { 0x093A, 0x093A }, { 0x093C, 0x093C }, { 0x0941, 0x0948 }, { 0x094D, 0x094D },
    { 0x0E31, 0x0E31 }, { 0x0E34, 0x0E3A }, { 0x0E47, 0x0E4E }, { 0x1AB0, 0x1AFF }, { 0x1DC0, 0x1DFF },
    { 0x200B, 0x200F }, { 0x202A, 0x202E }, { 0x2060, 0x2064 }, { 0x20D0, 0x20FF }, { 0x302A, 0x302D },
    { 0x3099, 0x309A }, { 0xFE00, 0xFE0F }, { 0xFE20, 0xFE2F }, { 0xFEFF, 0xFEFF }, { 0xE0100, 0xE01EF },
};
static const struct range wide[] = {
    { 0x1100, 0x115F }, { 0x231A, 0x231B }, { 0x2329, 0x232A }, { 0x23E9, 0x23EC }, { 0x25FD, 0x25FE },
    { 0x2614, 0x2615 }, { 0x2648, 0x2653 }, { 0x26AA, 0x26AB }, { 0x26BD, 0x26BE }, { 0x2705, 0x2705 },
    { 0x2728, 0x2728 }, { 0x274C, 0x274C }, { 0x2753, 0x2755 }, { 0x2E80, 0x303E }, { 0x3041, 0x3098 },
    { 0x309B, 0x33FF }, { 0x3400, 0x4DBF }, { 0x4E00, 0x9FFF }, { 0xA000, 0xA4CF }, { 0xA960, 0xA97F },
    { 0xAC00, 0xD7A3 }, { 0xF900, 0xFAFF }, { 0xFE30, 0xFE6F }, { 0xFF00, 0xFF60 }, { 0xFFE0, 0xFFE6 },
    { 0x1F300, 0x1F64F }, { 0x1F680, 0x1F6FF }, { 0x1F7E0, 0x1F7EB }, { 0x1F900, 0x1F9FF }, { 0x1FA70, 0x1FAFF },
    { 0x20000, 0x3FFFD },
};

static bool in_ranges(uint32_t cp, const struct range *r, size_t n) {
    for (size_t i = 0; i < n && r[i].lo <= cp; i++)
        if (cp <= r[i].hi) return true;
    return false;
}

int tui_cp_width(uint32_t cp) {
    if (cp < 0x300) return 1;
    if (in_ranges(cp, combining, sizeof combining / sizeof *combining)) return 0;
    return in_ranges(cp, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

/* ---- characters for the eye */

/* How an ASCII grid spells what is not ASCII: the symbols of formulas, and our own typography. */
static const struct { uint32_t cp; const char *spelt; } spellings[] = {
    { 0x00B1, "+-" }, { 0x00B2, "^2" }, { 0x00B5, "u" }, { 0x00B7, "." }, { 0x00D7, "x" }, { 0x03B1, "alpha" },
    { 0x03B2, "beta" }, { 0x03B3, "gamma" }, { 0x03B5, "eps" }, { 0x03B8, "theta" }, { 0x03BB, "lambda" },
    { 0x03BC, "mu" }, { 0x03C0, "pi" }, { 0x03C3, "sigma" }, { 0x03C4, "tau" }, { 0x03A3, "sum" }, { 0x2026, ".." },
    { 0x2010, "-" }, { 0x2011, "-" }, { 0x2013, "-" }, { 0x2014, "-" }, { 0x2018, "'" }, { 0x2019, "'" },
    { 0x201C, "\"" }, { 0x201D, "\"" }, { 0x2032, "'" }, { 0x2190, "<-" }, { 0x2192, "->" }, { 0x2208, " in " },
    { 0x2211, "sum" }, { 0x2212, "-" }, { 0x221A, "sqrt " }, { 0x221E, "inf" }, { 0x2248, "~" }, { 0x2264, "<=" },
    { 0x2265, ">=" }, { 0x2295, "+" }, { 0x2299, "*" }, { 0x22A4, "T" }, { 0x22C5, "." }, { 0x2016, "|" },
    { 0x2080, "_0" }, { 0x2081, "1" }, { 0x208A, "+" }, { 0x1D62, "i" }, { 0x2C7C, "_j" }, { 0x2082, "_2" },
    { 0x1D40, "^T" }, { 0x230A, "floor(" }, { 0x230B, ")" },
    { 0x2581, "_" }, { 0x2113, "l" }, { 0x211D, "R" }, { 0x02C6, "^" },
};

static const char *spell(uint32_t cp) {
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].cp == cp) return spellings[i].spelt;
    return "?";
}

/* The next character of *s as it is to be shown; advances *s. */
static uint32_t next_char(const struct tui_grid *g, const char **s, size_t left) {
    uint32_t cp;
    int n = cut_utf8_decode(*s, left, &cp);
    *s += n > 0 ? n : 1;
    if (n <= 0) return '?';
    if (cp < 0x20 || cp == 0x7F || (cp >= 0x80 && cp < 0xA0)) return g->ascii ? '.' : 0xB7;
    return cp;
}

int tui_text_width(const struct tui_grid *g, const char *s) {
    int w = 0;
    for (const char *end = s + strlen(s); s < end;) {
        uint32_t cp = next_char(g, &s, (size_t)(end - s));
        w += g->ascii && cp > 0x7E ? (int)strlen(spell(cp)) : tui_cp_width(cp);
    }
    return w;
}

/* ---- drawing */

/* Blank the other half of a wide character that is about to be overwritten in part. */
static void split_wide(struct tui_grid *g, int x, int y) {
    struct tui_cell *row = &g->cells[y * g->w];
    if (!row[x].glyph && x > 0) row[x - 1].glyph = ' ', row[x - 1].mark = 0;
    if (x + 1 < g->w && !row[x + 1].glyph && row[x].glyph) row[x + 1].glyph = ' ';
}

void tui_put(struct tui_area a, int x, int y, tui_style st, uint32_t glyph) {
    int w = tui_cp_width(glyph);
    if (x < 0 || y < 0 || x >= a.w || y >= a.h) return;
    struct tui_grid *g = a.g;
    int gx = a.x + x, gy = a.y + y;
    struct tui_cell *c = &g->cells[gy * g->w + gx];
    if (w == 0) {                                  /* joins the character before */
        if (x > 0) c[-1].glyph ? (c[-1].mark = glyph) : (c[-2].mark = glyph);
        return;
    }
    if (w == 2 && x + 1 >= a.w) glyph = ' ', w = 1;    /* half a character does not fit */
    split_wide(g, gx, gy);
    *c = (struct tui_cell){ glyph, 0, (uint8_t)(st & 0xFF), (uint16_t)(st & 0xFF00) };
    if (w == 2) {
        split_wide(g, gx + 1, gy);
        c[1] = (struct tui_cell){ 0, 0, c->role, c->attr };
    }
}

int tui_text(struct tui_area a, int x, int y, tui_style st, const char *s) {
    for (const char *end = s + strlen(s); s < end;) {
        uint32_t cp = next_char(a.g, &s, (size_t)(end - s));
        if (a.g->ascii && cp > 0x7E) {
            for (const char *p = spell(cp); *p; p++) tui_put(a, x++, y, st, (uint32_t)*p);
        } else {
            tui_put(a, x, y, st, cp);
            x += tui_cp_width(cp);
        }
    }
    return x;
}

int tui_textf(struct tui_area a, int x, int y, tui_style st, const char *fmt, ...) {
    char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    return tui_text(a, x, y, st, buf);
}

int tui_text_fit(struct tui_area a, int x, int x1, int y, tui_style st, const char *s) {
    if (x1 > a.w) x1 = a.w;
    if (x1 <= x) return x;
    struct tui_area cut = tui_part(a, 0, 0, x1, a.h);
    int end = tui_text(cut, x, y, st, s);
    if (end <= x1) return end;
    tui_text(cut, x1 - 2 > x ? x1 - 2 : x, y, st, "..");
    return x1;
}

int tui_text_right(struct tui_area a, int x1, int y, tui_style st, const char *s) {
    int x = x1 - tui_text_width(a.g, s);
    tui_text(a, x, y, st, s);
    return x;
}

int tui_textf_right(struct tui_area a, int x1, int y, tui_style st, const char *fmt, ...) {
    char buf[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    return tui_text_right(a, x1, y, st, buf);
}

int tui_text_wrap(struct tui_area a, int y, tui_style st, const char *s) {
    char line[512];
    while (*s && y < a.h) {
        size_t fit = 0, n = 0;                     /* bytes up to the last good place to break; bytes looked at */
        while (s[n] && s[n] != '\n' && n < sizeof line - 1) {
            size_t word = n;
            while (s[word] == ' ') word++;
            while (s[word] && s[word] != ' ' && s[word] != '\n' && word < sizeof line - 1) word++;
            memcpy(line, s, word);
            line[word] = 0;
            if (tui_text_width(a.g, line) > a.w && fit) break;
            fit = n = word;
        }
        memcpy(line, s, fit);
        line[fit] = 0;
        tui_text(a, 0, y++, st, line);
        s += fit;
        if (*s == '\n') s++;
        else while (*s == ' ') s++;
    }
    return y;
}

void tui_fill(struct tui_area a, tui_style st, uint32_t glyph) {
    for (int y = 0; y < a.h; y++)
        for (int x = 0; x < a.w; x++) tui_put(a, x, y, st, glyph);
}

void tui_mark_row(struct tui_area a, int y, unsigned attr) {
    if (y < 0 || y >= a.h) return;
    for (int x = 0; x < a.w; x++) a.g->cells[(a.y + y) * a.g->w + a.x + x].attr |= (uint16_t)attr;
}
