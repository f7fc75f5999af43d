/* compare_plot.c - the plots of `cutaway compare`, as text for a terminal and as SVG for a page. */
#include <math.h>
#include <string.h>

#include "tui/cli/compare.h"

struct point { double x, y, error; const char *label; };
struct axis { const char *name; double lo, hi; };

static double mib(const struct compare_entry *e) { return (double)e->row.bytes / (1024 * 1024); }

static const struct { const char *name, *title, *y; } plots[COMPARE_PLOTS] = {
    { "size-perplexity", "Perplexity over size", "perplexity" },
    { "size-kl", "Damage over size", "KL, nats per token" },
    { "size-speed", "Speed over size", "tokens/s, decode" },
    { "kl-tokens", "KL of each token", "KL, nats" },
};
const char *compare_plot_name(int plot) { return plots[plot].name; }

static struct point point_of(const struct compare_entry *e, int plot) {
    const struct cut_compare_row *r = &e->row;
    struct point p = { .x = mib(e), .label = e->name };
    p.y = plot == 0 ? r->text.perplexity : plot == 1 ? r->text.damage.kl : r->decode_tps;
    p.error = plot == 0 ? r->text.error : plot == 1 ? r->text.damage.kl_error : 0;
    return p;
}

/* A range that holds all the points, with a margin, from 0 where the lowest is near it. */
static void widen(struct axis *a) {
    double span = a->hi - a->lo;
    if (!(span > 0)) span = a->hi != 0 ? fabs(a->hi) : 1;
    if (a->lo >= 0 && a->lo < span / 2) a->lo = 0;
    else a->lo -= span * 0.08;
    a->hi += span * 0.08;
}

static void ranges(const struct compare *c, int plot, struct axis *x, struct axis *y) {
    *x = (struct axis){ "MiB", INFINITY, -INFINITY };
    *y = (struct axis){ plots[plot].y, INFINITY, -INFINITY };
    for (int i = 0; i < c->n; i++) {
        struct point p = point_of(&c->entry[i], plot);
        x->lo = fmin(x->lo, p.x);
        x->hi = fmax(x->hi, p.x);
        y->lo = fmin(y->lo, p.y);
        y->hi = fmax(y->hi, p.y);
    }
    widen(x);
    widen(y);
}

static double place(const struct axis *a, double v) { return (v - a->lo) / (a->hi - a->lo); }

/* ---- text */

enum { COLS = 64, ROWS = 16 };

static void scatter_text(FILE *f, const struct compare *c, int plot) {
    char grid[ROWS][COLS + 1];
    struct axis x, y;
    ranges(c, plot, &x, &y);
    for (int r = 0; r < ROWS; r++) {
        memset(grid[r], ' ', COLS);
        grid[r][COLS] = 0;
    }
    for (int i = 0; i < c->n; i++) {           /* names first, so that no point is hidden */
        struct point p = point_of(&c->entry[i], plot);
        int col = (int)lrint(place(&x, p.x) * (COLS - 1)), row = (int)lrint((1 - place(&y, p.y)) * (ROWS - 1));
        int len = (int)strlen(p.label), at = col + 2 + len <= COLS ? col + 2 : col - 1 - len;
        if (at >= 0) memcpy(grid[row] + at, p.label, (size_t)len);
    }
    for (int i = 0; i < c->n; i++) {
        struct point p = point_of(&c->entry[i], plot);
        grid[(int)lrint((1 - place(&y, p.y)) * (ROWS - 1))][(int)lrint(place(&x, p.x) * (COLS - 1))] = 'o';
    }
    fprintf(f, "%s (%s)\n", plots[plot].title, y.name);
    for (int r = 0; r < ROWS; r++) {
        if (r % 5 == 0) fprintf(f, "%10.4g |", y.hi - (y.hi - y.lo) * r / (ROWS - 1));
        else fprintf(f, "%10s |", "");
        fprintf(f, "%s\n", grid[r]);
    }
    fprintf(f, "%10s +", "");
    for (int i = 0; i < COLS; i++) putc('-', f);
    fprintf(f, "\n%10s  %-*.4g%.4g MiB\n", "", COLS - 10, x.lo, x.hi);
}

/* A line of the ramp for each build: how far the worst token of each stretch is off. */
static void tokens_text(FILE *f, const struct compare *c) {
    fprintf(f, "%s, largest of each stretch    . <1e-3  : <1e-2  = <1e-1  * <1  @ >=1\n", plots[3].title);
    for (int i = 1; i < c->n; i++) {
        const struct cut_compare_row *r = &c->entry[i].row;
        fprintf(f, "%-16.16s |", c->entry[i].name);
        for (int col = 0; col < COLS && r->n_kl; col++) {
            int t0 = (int)((long long)r->n_kl * col / COLS), t1 = (int)((long long)r->n_kl * (col + 1) / COLS);
            float most = 0;
            for (int t = t0; t < t1; t++) most = fmaxf(most, r->kl[t]);
            if (t1 > t0) putc(most < 1e-3f ? '.' : most < 1e-2f ? ':' : most < 1e-1f ? '=' : most < 1 ? '*' : '@', f);
        }
        fprintf(f, "| %d tokens\n", r->n_kl);
    }
}

void compare_plot_text(FILE *f, const struct compare *c, int plot) {
    if (plot == 3) tokens_text(f, c);
    else scatter_text(f, c, plot);
}

/* ---- SVG */

enum { W = 640, H = 400, LEFT = 70, RIGHT = 20, TOP = 40, BOTTOM = 50 };

/* Told apart by colour-blind readers too (Okabe and Ito 2008). */
static const char *const colour[] = { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000" };
enum { COLOURS = sizeof colour / sizeof *colour };

static double px(const struct axis *x, double v) { return LEFT + place(x, v) * (W - LEFT - RIGHT); }
static double py(const struct axis *y, double v) { return H - BOTTOM - place(y, v) * (H - TOP - BOTTOM); }

static void escaped(FILE *f, const char *s) {
    for (; *s; s++)
        if (*s == '<') fputs("&lt;", f);
        else if (*s == '>') fputs("&gt;", f);
        else if (*s == '&') fputs("&amp;", f);
        else putc(*s, f);
}

static void frame(FILE *f, const char *title, const struct axis *x, const struct axis *y, bool log_y) {
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
               "font-size=\"12\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", W, H, W, H, W, H);
    fprintf(f, "<text x=\"%d\" y=\"22\" font-size=\"15\">%s</text>\n", LEFT, title);
    for (int i = 0; i <= 4; i++) {
        double vx = x->lo + (x->hi - x->lo) * i / 4, vy = y->lo + (y->hi - y->lo) * i / 4;
        fprintf(f, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, py(y, vy), W - RIGHT, py(y, vy));
        fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n", LEFT - 6, py(y, vy) + 4, log_y ? pow(10, vy) : vy);
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.4g</text>\n", px(x, vx), H - BOTTOM + 18, vx);
    }
    fprintf(f, "<path d=\"M%d %d V%d H%d\" fill=\"none\" stroke=\"black\"/>\n", LEFT, TOP, H - BOTTOM, W - RIGHT);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", (LEFT + W - RIGHT) / 2, H - 12, x->name);
    fprintf(f, "<text x=\"16\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 16 %d)\">%s</text>\n", (TOP + H - BOTTOM) / 2,
            (TOP + H - BOTTOM) / 2, y->name);
}

static void scatter_svg(FILE *f, const struct compare *c, int plot) {
    struct axis x, y;
    ranges(c, plot, &x, &y);
    frame(f, plots[plot].title, &x, &y, false);
    for (int i = 0; i < c->n; i++) {
        struct point p = point_of(&c->entry[i], plot);
        double at_x = px(&x, p.x), at_y = py(&y, p.y), bar = p.error / (y.hi - y.lo) * (H - TOP - BOTTOM);
        const char *col = colour[i % COLOURS];
        if (bar > 0)
            fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", at_x, fmax(at_y - bar, TOP), at_x,
                    fmin(at_y + bar, H - BOTTOM), col);
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", at_x, at_y, col);
        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", at_x < W / 2 ? at_x + 8 : at_x - 8, at_y - 6,
                at_x < W / 2 ? "start" : "end");
        escaped(f, p.label);
        fprintf(f, "</text>\n");
    }
    fprintf(f, "</svg>\n");
}

static void tokens_svg(FILE *f, const struct compare *c) {
    struct axis x = { "token", 0, 1 }, y = { plots[3].y, -6, 1 };       /* powers of ten */
    for (int i = 1; i < c->n; i++) x.hi = fmax(x.hi, c->entry[i].row.n_kl - 1);
    frame(f, plots[3].title, &x, &y, true);
    for (int i = 1; i < c->n; i++) {
        const struct cut_compare_row *r = &c->entry[i].row;
        const char *col = colour[i % COLOURS];
        if (r->n_kl) fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1\" points=\"", col);
        for (int t = 0; t < r->n_kl; t++)
            fprintf(f, "%.1f,%.1f ", px(&x, t), py(&y, fmin(fmax(log10((double)r->kl[t] + 1e-30), y.lo), y.hi)));
        if (r->n_kl) fprintf(f, "\"/>\n");
        fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"%s\">", W - RIGHT, TOP + 14 * i, col);
        escaped(f, c->entry[i].name);
        fprintf(f, "</text>\n");
    }
    fprintf(f, "</svg>\n");
}

void compare_plot_svg(FILE *f, const struct compare *c, int plot) {
    if (plot == 3) tokens_svg(f, c);
    else scatter_svg(f, c, plot);
}
