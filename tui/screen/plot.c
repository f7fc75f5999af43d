/* plot.c - histograms and bars. */
#include <stdio.h>

#include "tui/screen/widget.h"

enum { BINS = sizeof ((struct cut_stats *)0)->hist / sizeof ((struct cut_stats *)0)->hist[0] };

void tui_histogram(struct tui_area a, const struct cut_stats *s) {
    int bar_w = a.w / BINS, rows = a.h - 1;
    if (bar_w < 1 || rows < 1 || s->n <= s->n_nan) return;
    int64_t most = 1;
    for (int i = 0; i < BINS; i++)
        if (s->hist[i] > most) most = s->hist[i];
    for (int i = 0; i < BINS; i++) {
        double high = (double)s->hist[i] / (double)most * rows;
        if (s->hist[i] && high < 0.125) high = 0.125;          /* a single value is seen */
        float middle = s->min + (s->max - s->min) * ((float)i + 0.5f) / BINS;
        tui_style st = middle < 0 ? TUI_SERIES1 : TUI_SERIES2;
        for (int y = 0; y < rows; y++) {
            double part = high - (rows - 1 - y);
            uint32_t glyph = part >= 1 ? tui_glyph(a.g, TUI_G_THUMB) : a.g->ascii ? (part >= 0.5 ? ':' : '.')
                           : tui_eighth(a.g, part);
            if (part <= 0) continue;
            for (int x = 0; x < bar_w; x++) tui_put(a, i * bar_w + x, y, st, glyph);
        }
    }
    char num[16];
    tui_text(a, 0, rows, TUI_DIM, tui_num(s->min, 6, num));
    tui_text_right(a, BINS * bar_w, rows, TUI_DIM, tui_num(s->max, 6, num));
    if (s->min < 0 && s->max > 0) {
        int zero = (int)(-s->min / (s->max - s->min) * (float)(BINS * bar_w));
        if (zero > 7 && zero < BINS * bar_w - 7) tui_text(a, zero, rows, TUI_DIM, "0");
    }
}

void tui_bar_row(struct tui_area a, int y, int label_w, const char *label, const char *figure, int figure_w,
                 tui_style st, double part) {
    tui_text_fit(a, 0, label_w, y, TUI_TEXT, label);
    tui_text_right(a, label_w + 1 + figure_w, y, st, figure);
    tui_bar(a, label_w + figure_w + 2, y, a.w - label_w - figure_w - 2, st, part);
}
