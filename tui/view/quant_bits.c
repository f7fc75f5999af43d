/* quant_bits.c - one block of weights: its bytes by field, what each weight's code means, and by how much it missed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view/quant.h"

/* ---- the bytes */

enum { NAME_W = 8 };

/* The fields of a format; formats of plain numbers have none, and get one. */
static int fields_of(const struct tui_cmp_block *b, const struct cut_block_field **out, struct cut_block_field *plain) {
    const struct cut_block_layout *l = cut_block_layout(b->type);
    *plain = (struct cut_block_field){ "w", 0, b->bytes, 8 * b->bytes / b->n, "plain numbers, each its own" };
    *out = l ? l->field : plain;
    return l ? l->n_fields : 1;
}

static int bytes_per_row(int w) {
    int n = (w - NAME_W - 1) / 3;
    return n > 16 ? n / 16 * 16 : n;
}

static int field_rows(const struct cut_block_field *f, int w) { return (f->bytes + bytes_per_row(w) - 1) / bytes_per_row(w); }

/* What a nibble does for a weight: the role of the bits in it, -1: nothing. Its own bits go before shared ones. */
int quant_nibble_role(const struct cut_block_element *e, int nibble) {
    int from = nibble / 2 * 8 + (nibble % 2 ? 0 : 4), role = -1;       /* bits of the block, the high nibble first */
    for (int i = 0; i < e->n_bits; i++) {
        int at = e->bits[i].byte * 8 + e->bits[i].bit;
        if (at < from + 4 && at + e->bits[i].n > from && (role < 0 || (int)e->bits[i].role < role)) role = (int)e->bits[i].role;
    }
    return role;
}

static tui_style nibble_style(const struct quant_view *v, const struct tui_cmp_block *b, int nibble) {
    int role = quant_nibble_role(&b->el[v->elements.cursor < b->n ? v->elements.cursor : 0], nibble), at = nibble / 2;
    if (v->editing && v->nibble == nibble) return TUI_SELECT | TUI_BOLD | TUI_REVERSE;
    tui_style st = b->poked[at / 8] >> at % 8 & 1 ? TUI_EDITED | TUI_BOLD : TUI_DIM;
    if (role < 0) return st;
    if (role == CUT_BITS_SCALE || role == CUT_BITS_OFFSET) return TUI_WARN | TUI_BOLD;
    return TUI_FOCUS | TUI_BOLD | TUI_UNDERLINE;
}

/* One field, a byte in three columns; returns the row after it. */
static int draw_field(const struct quant_view *v, const struct tui_cmp_block *b, struct tui_area a, int y, const struct cut_block_field *f) {
    int per_row = bytes_per_row(a.w), x = NAME_W;
    tui_text_fit(a, 0, NAME_W - 1, y, TUI_KEY, f->name);
    for (int i = 0; i < f->bytes; i++) {
        int at = f->at + i;
        if (i && i % per_row == 0) y++, x = NAME_W;
        tui_put(a, x++, y, nibble_style(v, b, 2 * at), (uint32_t)"0123456789abcdef"[b->raw[at] >> 4]);
        tui_put(a, x++, y, nibble_style(v, b, 2 * at + 1), (uint32_t)"0123456789abcdef"[b->raw[at] & 15]);
        x++;
    }
    if (f->bytes <= per_row && a.w - x > 12) tui_text_fit(a, x + 1, a.w, y, TUI_DIM, f->what);
    return y + 1;
}

/* All fields, as many rows as there are; the row with the nibble under the cursor stays in view. */
static void draw_bytes(const struct quant_view *v, const struct tui_cmp_block *b, struct tui_area a) {
    struct cut_block_field plain;
    const struct cut_block_field *f;
    int n = fields_of(b, &f, &plain), rows = 0, at = 0;
    const struct cut_block_element *e = &b->el[v->elements.cursor < b->n ? v->elements.cursor : 0];
    int byte = v->editing ? v->nibble / 2 : e->n_bits ? e->bits[0].byte : 0;
    for (int i = 0; i < n; i++) {
        if (byte >= f[i].at && byte < f[i].at + f[i].bytes) at = rows + (byte - f[i].at) / bytes_per_row(a.w);
        rows += field_rows(&f[i], a.w);
    }
    int top = rows <= a.h ? 0 : at - a.h / 2;
    if (top > rows - a.h) top = rows - a.h;
    if (top < 0) top = 0;
    for (int i = 0, y = -top; i < n; i++) y = draw_field(v, b, a, y, &f[i]);       /* rows above the area are clipped */
}

static int bytes_rows(const struct tui_cmp_block *b, int w) {
    struct cut_block_field plain;
    const struct cut_block_field *f;
    int rows = 0;
    for (int i = 0, n = fields_of(b, &f, &plain); i < n; i++) rows += field_rows(&f[i], w);
    return rows;
}

/* ---- the weights */

static bool is_outlier(const struct tui_cmp_block *b, int i) {
    int g = i / 32;
    return g < b->n_outliers && b->outlier[g].at == i % 32 && b->outlier[g].ratio > 3;
}

static bool lost(const struct tui_cmp_block *b, int i) { return b->el[i].value == 0 && b->ref[i] != 0; }

static void draw_weight(const struct tui_cmp_block *b, struct tui_area a, int x, int y, int i, float most) {
    const struct cut_block_element *e = &b->el[i];
    char n[16];
    float err = e->value - b->ref[i];
    tui_textf_right(a, x + 3, y, TUI_DIM, "%d", i);
    tui_text_right(a, x + 13, y, TUI_TEXT, tui_num_digits(b->ref[i], 8, 4, n));
    if (e->n_bits) tui_textf_right(a, x + 19, y, TUI_TEXT, "%d", e->q);
    tui_text_right(a, x + 29, y, lost(b, i) ? TUI_WARN : TUI_TEXT, tui_num_digits(e->value, 8, 4, n));
    tui_text_right(a, x + 38, y, TUI_DIM, tui_num(err, 7, n));
    tui_style st = err < 0 ? TUI_SERIES1 : TUI_SERIES2;
    if (is_outlier(b, i)) tui_text(a, x + 39, y, TUI_BAD | TUI_BOLD, "<outlier");
    else tui_bar(a, x + 39, y, 8, st, most > 0 ? (double)(fabsf(err) / most) : 0);
}

enum { WEIGHT_W = 49 };

static void draw_weights(struct quant_view *v, const struct tui_cmp_block *b, struct tui_area a) {
    int columns = a.w / WEIGHT_W > 0 ? a.w / WEIGHT_W : 1, rows = a.h - 1;
    struct tui_list *l = &v->elements;
    float most = 0;
    for (int i = 0; i < b->n; i++) most = fmaxf(most, fabsf(b->el[i].value - b->ref[i]));
    l->n = b->n;
    if (columns > 1 && (b->n + columns - 1) / columns < rows) rows = (b->n + columns - 1) / columns;
    tui_list_show(l, rows * columns);
    for (int k = 0; k < columns && k * rows < b->n; k++) {
        int x = k * WEIGHT_W;
        tui_text_right(a, x + 3, 0, TUI_DIM, "i");
        tui_text_right(a, x + 13, 0, TUI_DIM, "weight");
        tui_text_right(a, x + 19, 0, TUI_DIM, "q");
        tui_text_right(a, x + 29, 0, TUI_DIM, "decoded");
        tui_text_right(a, x + 38, 0, TUI_DIM, "error");
        for (int y = 0; y < rows && l->top + k * rows + y < b->n; y++) {
            int i = l->top + k * rows + y;
            struct tui_area cell = tui_part(a, x, 1 + y, columns > 1 ? WEIGHT_W - 1 : a.w, 1);
            draw_weight(b, cell, 0, 0, i, most);
            if (i == l->cursor && v->focus == QUANT_BITS && !v->editing) {
                tui_put(cell, 0, 0, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
                tui_mark_row(cell, 0, TUI_SELECTED);
            }
        }
    }
}

/* ---- in words */

/* Bits as they are read, the highest first: "1010". */
static const char *binary(uint32_t x, int n, char buf[40]) {
    for (int i = 0; i < n && i < 32; i++) buf[i] = (char)('0' + (x >> (n - 1 - i) & 1));
    buf[n < 32 ? n : 32] = 0;
    return buf;
}

/* The weight under the cursor, step by step: its bits, its scale, what comes of it. */
static void draw_decode(const struct quant_view *v, const struct tui_cmp_block *b, struct tui_area a, int y) {
    int i = v->elements.cursor < b->n ? v->elements.cursor : 0;
    const struct cut_block_element *e = &b->el[i];
    const struct cut_block_layout *l = cut_block_layout(b->type);
    char s[16], m[16], val[16], ref[16], err[16], bits[40];
    tui_num_digits(e->scale, 8, 4, s);
    tui_num_digits(fabsf(e->offset), 8, 4, m);
    tui_num_digits(e->value, 9, 4, val);
    tui_num_digits(b->ref[i], 9, 4, ref);
    tui_num(e->value - b->ref[i], 8, err);
    int x = tui_textf(a, 0, y, TUI_TEXT | TUI_BOLD, "w[%d]", i);
    if (l) {
        x = tui_textf(a, x, y, TUI_DIM, " %s ", l->n_group > 1 ? "index" : "bits");
        x = tui_text(a, x, y, TUI_FOCUS | TUI_BOLD, binary(e->code, e->code_bits, bits));
        x = tui_textf(a, x, y, TUI_TEXT, ": q %d;  ", e->q);
        x = tui_text(a, x, y, TUI_WARN | TUI_BOLD, s);
        x = tui_textf(a, x, y, TUI_TEXT, " x %d", e->q);
        if (e->offset != 0) x = tui_textf(a, x, y, TUI_TEXT, " %c %s", e->offset < 0 ? '-' : '+', m);
    }
    x = tui_textf(a, x, y, TUI_TEXT, " = %s", val);
    tui_textf(a, x, y, TUI_DIM, ", was %s: off by %s", ref, err);
}

static void draw_anatomy(const struct quant_view *v, const struct tui_cmp_block *b, struct tui_area a, int y) {
    int g = v->elements.cursor / 32;
    char line[240], n1[16], n2[16], n3[16];
    if (g >= b->n_outliers) return;
    const struct cut_outlier *o = &b->outlier[g];
    if (o->ratio > 3 && o->rmse > 0)
        snprintf(line, sizeof line, "Weight %d (%s, %.1f times the rms) set the scale: %d of its 31 neighbours became 0. Their error is %s; without "
                 "it, %s.", g * 32 + o->at, tui_num_digits(o->value, 8, 3, n1), (double)o->ratio, o->zeros,
                 tui_num(o->rmse, 8, n2), tui_num(o->rmse_without, 8, n3));
    else if (o->rmse > 0)
        snprintf(line, sizeof line, "No outlier: the largest of the 32, weight %d (%s), is %.1f times their rms; %d became 0; error %s.",
                 g * 32 + o->at, tui_num_digits(o->value, 8, 3, n1), (double)o->ratio, o->zeros, tui_num(o->rmse, 8, n2));
    else snprintf(line, sizeof line, "These weights are stored exactly.");
    tui_text_wrap(tui_part(a, 0, y, a.w, a.h - y), 0, o->ratio > 3 && o->rmse > 0 ? TUI_WARN : TUI_DIM, line);
}

/* ---- the distribution */

static void draw_histograms(const struct tui_cmp_block *b, struct tui_area a) {
    char n1[16], n2[16], line[160];
    const struct cut_weight_error *e = &b->error;
    snprintf(line, sizeof line, "rms %s, error rms %s = %.2f %% of it; half the weights are off by less than %.1f %% of their row's rms, 1 in 100 by more "
             "than %.1f %%", tui_num((float)e->rms, 7, n1), tui_num((float)e->rmse, 7, n2), 100 * e->relative, 100 * e->p50, 100 * e->p99);
    struct tui_area words = tui_cut_bottom(&a, 2), left = tui_cut_left(&a, a.w / 2);
    tui_text(left, 0, 0, TUI_DIM, "the weights");
    tui_text(a, 0, 0, TUI_DIM, "their errors");
    tui_histogram(tui_part(left, 0, 1, left.w - 2, left.h - 1), &b->weights);
    tui_histogram(tui_part(a, 0, 1, a.w - 2, a.h - 1), &b->errors);
    tui_text_wrap(words, 0, TUI_TEXT, line);
}

/* ---- all of it */

static void draw_nothing(const struct quant_view *v, struct tui_area a, const char *why) {
    struct tui_area in = tui_pane(a, "the block as bits", NULL, v->focus == QUANT_BITS);
    tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, why);
}

void quant_draw_bits(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_block *b = c->block;
    char title[160], right[64];
    v->area[QUANT_BITS] = a;
    if (!b) {
        draw_nothing(v, a, v->tensor < 0 ? "B looks into the block whose outlier does most harm; Enter on a tensor into one of that tensor." : "");
        return;
    }
    int per_row = (int)(c->tensor[b->tensor].cols / b->n);
    snprintf(title, sizeof title, "%s: %s row %d block %d", c->build[b->build].name, c->tensor[b->tensor].name, (int)b->row, (int)(b->col / b->n));
    snprintf(right, sizeof right, "%s, %d bytes, %d weights", cut_type_info(b->type)->name, b->bytes, b->n);
    if (per_row < 1) per_row = 1;
    struct tui_area in = quant_pane(v, a, QUANT_BITS, title, right);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    if (v->histogram) {
        draw_histograms(b, in);
        return;
    }
    const struct cut_block_layout *l = cut_block_layout(b->type);
    if (l && in.h > 8) tui_text_fit(tui_cut_top(&in, 1), 0, in.w, 0, TUI_TITLE, l->formula);
    int rows = bytes_rows(b, in.w), most = in.h > 20 ? in.h / 2 : in.h / 3 + 1;
    draw_bytes(v, b, tui_cut_top(&in, rows < most ? rows : most));
    struct tui_area words = tui_cut_bottom(&in, in.h > 8 ? 3 : in.h > 5 ? 2 : 0);
    if (words.h) draw_decode(v, b, words, 0);
    if (words.h > 1) draw_anatomy(v, b, words, 1);
    if (in.h > 1) draw_weights(v, b, in);
}
