/* list.c - a cursor in rows that scroll. */
#include "tui/screen/widget.h"

bool tui_list_key(struct tui_list *l, int key, int rows) {
    int page = rows > 2 ? rows - 1 : 1;
    switch (tui_key_move(key)) {
    case TUI_KEY_UP: l->cursor--; break;
    case TUI_KEY_DOWN: l->cursor++; break;
    case TUI_KEY_PAGE_UP: l->cursor -= page; break;
    case TUI_KEY_PAGE_DOWN: l->cursor += page; break;
    case TUI_KEY_HOME: l->cursor = 0; break;
    case TUI_KEY_END: l->cursor = l->n - 1; break;
    default: return false;
    }
    tui_list_show(l, rows);
    return true;
}

void tui_list_show(struct tui_list *l, int rows) {
    if (l->cursor >= l->n) l->cursor = l->n - 1;
    if (l->cursor < 0) l->cursor = 0;
    int margin = rows > 8 ? 2 : 0;
    if (l->top > l->cursor - margin) l->top = l->cursor - margin;
    if (l->top < l->cursor + margin + 1 - rows) l->top = l->cursor + margin + 1 - rows;
    if (l->top > l->n - rows) l->top = l->n - rows;
    if (l->top < 0) l->top = 0;
}

void tui_scrollbar(struct tui_area a, int x, const struct tui_list *l) {
    if (l->n <= a.h || a.h < 2) return;
    int size = a.h * a.h / l->n, span = l->n - a.h;
    if (size < 1) size = 1;
    int from = (int)((long long)(a.h - size) * l->top / span);
    for (int y = 0; y < a.h; y++) {
        bool thumb = y >= from && y < from + size;
        tui_put(a, x, y, thumb ? TUI_DIM : TUI_BORDER, tui_glyph(a.g, thumb ? TUI_G_THUMB : TUI_G_TRACK));
    }
}
