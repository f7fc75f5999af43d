/* quant_kl.c - how far the builds' predictions are from the reference's: KL token by token on a logarithmic scale, and the
 * statistics over the text.
 *
 *   KL(P || Q) = sum over the vocabulary of P log (P / Q), in nats: P the reference's prediction, Q the build's
 */
#include <math.h>
#include <string.h>

#include "tui/view/quant.h"
#include "tui/view/strip.h"

int quant_kl_level(float kl) {
    if (isnan(kl)) return -1;
    for (int level = QUANT_KL_LEVELS - 1; level > 0; level--)
        if (kl >= powf(10, (float)level - 5)) return level;
    return 0;
}

/* Of the ten levels of ink, one for each of ours. */
static int ink_of(int level) {
    static const int ink[QUANT_KL_LEVELS] = { 1, 1, 2, 4, 6, 9 };
    return ink[level];
}

static const char *percent(double x, int w, char buf[16]) {
    snprintf(buf, 16, "%.1f %%", 100 * x);
    if ((int)strlen(buf) > w) snprintf(buf, 16, "%.0f %%", 100 * x);
    return buf;
}

/* By which part of the reference's the perplexity is larger. */
static double ppl_more(const struct cut_damage *d) { return expm1(d->ln_ratio); }

/* ---- bars */

enum { DECADES = 4, AXIS_W = 6 };      /* 1e-3 to 1e+0 */

/* Height of a bar in decades. */
static double height(float kl) { return kl > 1e-4f ? log10((double)kl) + 4 : 0; }

/* cursor: it is looked at; parted: here the build left the reference's path. */
static void draw_bar(struct tui_area a, int x, int rows, float kl, bool cursor, bool parted) {
    double high = height(kl) * rows / DECADES;
    int level = quant_kl_level(kl);
    tui_style st = (tui_style)(TUI_SEQ0 + (level < 0 ? 0 : ink_of(level)));
    for (int y = 0; y < rows; y++) {
        double part = high - (rows - 1 - y);
        if (part > 0)
            tui_put(a, x, y, cursor ? TUI_FOCUS | TUI_BOLD : st, part >= 1 ? tui_glyph(a.g, TUI_G_THUMB) : a.g->ascii ? part >= 0.5 ? ':' : '.'
                    : tui_eighth(a.g, part));
        else if (parted && y == 0) tui_put(a, x, y, TUI_BAD | TUI_BOLD, tui_glyph(a.g, TUI_G_DOWN));
        else if (cursor) tui_put(a, x, y, TUI_FOCUS, tui_glyph(a.g, TUI_G_V));
    }
}

static void draw_summary(const struct tui_cmp_build *b, struct tui_area a) {
    const struct cut_damage *s = &b->sum.damage;
    char n1[16], n2[16];
    if (!s->tokens) return;
    tui_textf(a, 0, 0, TUI_TEXT, "%d predictions", (int)s->tokens);
    tui_textf(a, 0, 1, TUI_TEXT, "mean %-6s median %s", tui_num((float)s->kl, 6, n1), tui_num((float)s->kl_median, 6, n2));
    tui_textf(a, 0, 2, TUI_TEXT, "p99  %-6s max %s (tok %d)", tui_num((float)s->kl_p99, 6, n1), tui_num((float)s->kl_max, 6, n2), b->at_most);
    tui_textf(a, 0, 3, TUI_TEXT, "top-1 %-7s PPL %+.1f %%", percent(s->same_top, 7, n1), 100 * ppl_more(s));
}

void quant_draw_bars(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    const struct tui_cmp_build *b = quant_build(v);
    char title[160] = "KL per token";
    int n = c->n_tokens, pos = quant_pos(v);
    if (b) snprintf(title, sizeof title, "KL(%s||%s) per token, on the %s text (nats, log scale)", c->build[0].name, b->name, c->build[0].name);
    struct tui_area in = tui_pane(a, title, NULL, false);
    if (!b) {
        tui_text_wrap(tui_part(in, 1, 0, in.w - 2, in.h), 0, TUI_DIM, "One build alone has nothing to differ from: a adds another.");
        return;
    }
    struct tui_area sum = tui_cut_right(&in, 33), bars = tui_part(in, AXIS_W + 1, 0, in.w - AXIS_W - 2, in.h);
    for (int y = 0; y < in.h; y++) {
        int decade = -(y * DECADES / in.h);
        if (y == 0 || y * DECADES / in.h != (y - 1) * DECADES / in.h) tui_textf(in, 1, y, TUI_DIM, "1e%+d", decade);
        tui_put(in, AXIS_W, y, TUI_BORDER, tui_glyph(a.g, TUI_G_V));
    }
    int each = bars.w > 0 ? (n - 2) / bars.w + 1 : 1;      /* a long text shares columns: the largest shows */
    for (int x = 0; b->point && x < bars.w && 1 + x * each < n; x++) {
        float most = NAN;
        bool cursor = false, parted = false;
        for (int i = 1 + x * each; i < n && i < 1 + (x + 1) * each; i++) {
            most = fmaxf(most, b->point[i].kl);
            cursor = cursor || (i == pos && !v->follow);
            parted = parted || i == b->parted;
        }
        draw_bar(bars, x, in.h, most, cursor, parted);
    }
    draw_summary(b, tui_part(sum, 1, 0, sum.w - 1, sum.h));
}

/* ---- strips under the words */

enum { NAME_W = 9 };

static int word_width(const struct tui_grid *g, const struct tui_cmp *c, int i) {
    char buf[64];
    int w = tui_text_width(g, tui_token_label(&c->token[i], buf));
    return w < 1 ? 1 : w;
}

/* The words above, one character for each build's KL under the end of its word. */
static void draw_words(struct quant_view *v, const struct tui_cmp *c, struct tui_area a) {
    int pos = quant_pos(v), first = pos, w = 2;
    char buf[64];
    struct tui_area in = tui_part(a, NAME_W, 0, a.w - NAME_W - 1, a.h);
    while (first > 1 && w + word_width(a.g, c, first) < in.w * 2 / 3) w += word_width(a.g, c, first--);
    for (int i = pos, rest = w; first > 1; first--) {      /* near the end there is room for more on the left */
        while (i < c->n_tokens && rest < in.w) rest += word_width(a.g, c, i++);
        rest += word_width(a.g, c, first - 1);
        if (rest >= in.w) break;
    }
    for (int k = 1; k < c->n_builds; k++) {
        bool on = k == v->build;
        tui_text_fit(a, 0, NAME_W - 1, k, on ? TUI_TITLE | TUI_BOLD : TUI_DIM, c->build[k].name);
    }
    for (int i = first, x = 0; i < c->n_tokens && x < in.w - 3; i++) {
        bool here = i == pos;
        const char *s = tui_token_label(&c->token[i], buf);
        int blank = *s == ' ' && !here;
        if (here) x = tui_text(in, x, 0, TUI_FOCUS | TUI_BOLD, "[");
        int x0 = x + blank;
        x = tui_text(in, x, 0, here ? TUI_SELECT | TUI_BOLD : i < c->n_prompt ? TUI_DIM : TUI_TEXT, here && *s == ' ' && s[1] ? s + 1 : s);
        if (here) x = tui_text(in, x, 0, TUI_FOCUS | TUI_BOLD, "]");
        for (int k = 1; k < c->n_builds; k++) {
            int level = c->build[k].point ? quant_kl_level(c->build[k].point[i].kl) : -1;
            if (level < 0) continue;
            int to = x - here;
            uint32_t glyph = tui_ramp(a.g, ink_of(level));
            for (int col = x0; col < to && in.g->fills; col++) tui_put(in, col, k, (tui_style)(TUI_SEQ0 + ink_of(level)), glyph);
            if (!in.g->fills) tui_put(in, x0, k, TUI_TEXT, level ? glyph : tui_glyph(a.g, TUI_G_DOT));
        }
    }
}

static void draw_legend(struct tui_area a, int y) {
    static const char *const limit[QUANT_KL_LEVELS] = { "", "<1e-3", "<1e-2", "<.1", "<1", ">=1" };
    int x = tui_text(a, 0, y, TUI_DIM, "KL, nats ");
    for (int level = 1; level < QUANT_KL_LEVELS; level++) {
        tui_put(a, x, y, (tui_style)(TUI_SEQ0 + ink_of(level)), tui_ramp(a.g, ink_of(level)));
        x = tui_textf(a, x + 2, y, TUI_DIM, "%s  ", limit[level]);
    }
}

/* What both say at the cursor. */
static void draw_cursor(const struct quant_view *v, const struct tui_cmp *c, struct tui_area a, int y) {
    const struct tui_cmp_build *b = quant_build(v);
    int pos = quant_pos(v);
    char n1[16], n2[16], t1[64], t2[64];
    if (!b || !b->point || !pos || isnan(b->point[pos].kl)) return;
    int x = tui_textf(a, 0, y, TUI_TEXT, "token %d:  KL %s   %s says \"%s\" %s", pos, tui_num(b->point[pos].kl, 7, n1), c->build[0].name,
                      tui_token_label(&c->build[0].top[pos], t1), tui_num(c->build[0].point[pos].p_top, 4, n2));
    tui_textf(a, x, y, b->point[pos].same ? TUI_TEXT : TUI_BAD | TUI_BOLD, ", %s \"%s\" %s", b->name, tui_token_label(&b->top[pos], t2),
              tui_num(b->point[pos].p_top, 4, n1));
}

/* Noise moves p of the right token up as often as down; damage moves it down. Two standard errors tell them apart. */
static const char *tilt_of(const struct cut_damage *d) {
    if (d->tokens < 8) return "too few to say";
    if (d->dp < -2 * d->dp_error) return "tilts down: damage";
    if (d->dp > 2 * d->dp_error) return "tilts up";
    return "even: noise";
}

static void draw_table(const struct quant_view *v, const struct tui_cmp *c, struct tui_area a, int y) {
    static const struct { int x; const char *name; } col[] = { { 0, "" }, { 10, "PPL" }, { 26, "mean KL" }, { 43, "median" }, { 51, "p99" },
        { 59, "max" }, { 67, "top-1" }, { 76, "RMS dp" }, { 84, "balance of dp" } };
    char n[16], more[32];
    for (size_t i = 0; i < sizeof col / sizeof *col; i++) tui_text(a, col[i].x, y, TUI_DIM, col[i].name);
    for (int k = 0; k < c->n_builds && y + 1 + k < a.h; k++) {
        const struct cut_damage *d = &c->build[k].sum.damage;
        int r = y + 1 + k;
        tui_style st = k == v->build && k ? TUI_TITLE | TUI_BOLD : TUI_TEXT;
        tui_text_fit(a, 0, 9, r, st, c->build[k].name);
        if (!d->tokens) continue;
        tui_text(a, col[1].x, r, st, tui_num_digits((float)(k ? d->ppl : d->ppl_ref), 7, 4, n));
        if (!k) { tui_textf(a, col[2].x, r, TUI_DIM, "the reference: all below are KL(%s||build)", c->build[0].name); continue; }
        tui_textf(a, col[1].x + 8, r, st, "%+.*f %%", fabs(ppl_more(d)) < 0.9995 ? 1 : 0, 100 * ppl_more(d));
        tui_text(a, col[2].x, r, st, tui_num((float)d->kl, 7, n));
        snprintf(more, sizeof more, "+-%s", tui_num_digits((float)d->kl_error, 6, 2, n));
        tui_text(a, col[2].x + 8, r, TUI_DIM, more);
        tui_text(a, col[3].x, r, st, tui_num((float)d->kl_median, 7, n));
        tui_text(a, col[4].x, r, st, tui_num((float)d->kl_p99, 7, n));
        tui_text(a, col[5].x, r, st, tui_num((float)d->kl_max, 7, n));
        tui_text(a, col[6].x, r, st, percent(d->same_top, 8, n));
        tui_text(a, col[7].x, r, st, percent(d->dp_rms, 7, n));
        tui_text_fit(a, col[8].x, a.w, r, d->tokens >= 8 && d->dp < -2 * d->dp_error ? TUI_WARN : st, tilt_of(d));
    }
}

void quant_draw_strips(struct quant_view *v, struct tui_area a) {
    const struct tui_cmp *c = quant_cmp(v);
    char title[128], right[32];
    snprintf(title, sizeof title, "KL(%s||build) per token, on the %s text", c->build[0].name, c->build[0].name);
    snprintf(right, sizeof right, "%d predictions", (int)c->build[0].sum.damage.tokens);
    struct tui_area in = tui_pane(a, title, right, false);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    draw_words(v, c, in);
    int y = c->n_builds, spare = in.h - 3 - 2 * c->n_builds;      /* rows between words and table */
    if (spare > 1) draw_cursor(v, c, in, y + 1);
    draw_legend(in, y + (spare > 1 ? 2 : 0));
    draw_table(v, c, in, in.h - 1 - c->n_builds);
}
