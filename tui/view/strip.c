/* strip.c - the text so far. */
#include "tui/view/strip.h"

const char *tui_token_label(const struct tui_token *t, char *buf) {
    size_t n = 0;
    for (const char *p = t->text; *p && n < 60; p++) {
        if (*p == '\n' || *p == '\t' || *p == '\r') buf[n++] = '\\', buf[n++] = *p == '\n' ? 'n' : *p == '\t' ? 't' : 'r';
        else buf[n++] = *p;
    }
    buf[n] = 0;
    return buf;
}

void tui_draw_strip(struct tui_app *app, struct tui_area row) {
    const struct tui_snap *s = tui_app_snap(app);
    if (!s->list) return;
    if (!s->n_tokens) {
        tui_text(row, 0, 0, TUI_DIM, "no text yet");
        return;
    }
    char right[80], label[64];
    if (s->where.n_tokens)
        snprintf(right, sizeof right, "%s of %d  pos %d  step %d/%d", s->where.n_tokens > 1 ? "prefill" : "decode", s->where.n_tokens,
                 s->pos, s->where.step, s->where.n_steps);
    else snprintf(right, sizeof right, "%d tokens wait  step 0/%d", s->n_tokens, s->where.n_steps);
    int x1 = tui_text_right(row, row.w - 1, 0, TUI_DIM, right) - 2;

    struct tui_area text = tui_part(row, 0, 0, x1, 1);
    int now = s->pos >= 0 ? s->pos : 0, first = now, w = 0, after = s->n_tokens - 1 > now ? 6 : 0;
    int room = text.w - 4 - after - (s->n_top ? 14 : 0);
    while (first >= 0 && (w += tui_text_width(row.g, tui_token_label(&s->token[first], label)) + 1) <= room) first--;
    int x = first >= 0 ? tui_text(text, 0, 0, TUI_DIM, "..") : 0;
    for (int i = first + 1; i < s->n_tokens && x < text.w; i++) {
        const char *t = tui_token_label(&s->token[i], label);
        bool in_pass = i >= s->where.pos && i < s->where.pos + s->where.n_tokens;
        if (i == s->pos) {
            x = tui_text(text, x, 0, TUI_FOCUS | TUI_BOLD, "[");
            x = tui_text(text, x, 0, TUI_SELECT | TUI_BOLD, t);
            x = tui_text(text, x, 0, TUI_FOCUS | TUI_BOLD, "]");
        } else {
            if (i > first + 1 && i != s->pos + 1) tui_put(text, x++, 0, TUI_BORDER, tui_glyph(row.g, TUI_G_SEP));
            x = tui_text(text, x, 0, in_pass || i < s->n_done ? TUI_TEXT : TUI_DIM, t);
        }
    }
    if (s->n_top && x < text.w - 4) {
        x = tui_text(text, x, 0, TUI_DIM, " -> ");
        tui_text_fit(text, x, text.w, 0, TUI_GOOD | TUI_BOLD, tui_token_label(&s->top_token[0], label));
    }
}
