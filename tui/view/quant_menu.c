/* quant_menu.c - which formats there are to choose from. */
#include <stdio.h>
#include <string.h>

#include "tui/view/quant.h"

struct choice { const char *name, *what; double bits; int type; };     /* type -1: a file type; name NULL: a file */

enum { MOST = 96 };

/* Formats that can be written, by size; then, to add a build, file types and files. */
static int choices(const struct quant_view *v, struct choice out[MOST]) {
    int n = 0, n_types;
    for (int t = 0; t < CUT_TYPE_COUNT; t++) {
        const struct cut_type_info *i = cut_type_info((uint32_t)t);
        if (!i || !i->name || !i->runs || !cut_encodes((enum cut_type)t)) continue;
        struct choice c = { i->name, "", 8.0 * i->bytes / i->block, t };
        int at = n++;
        for (; at > 0 && out[at - 1].bits < c.bits; at--) out[at] = out[at - 1];
        out[at] = c;
    }
    if (v->menu == QUANT_MENU_TYPE) return n;
    const struct cut_file_type *type = cut_file_types(&n_types);
    for (int i = 0; i < n_types && n < MOST - 1; i++)
        if (cut_type_by_name(type[i].name) < 0) out[n++] = (struct choice){ type[i].name, type[i].what, 0, -1 };
    out[n++] = (struct choice){ NULL, "a file of the same model", 0, -1 };
    return n;
}

void quant_menu_open(struct quant_view *v, int menu) {
    struct choice c[MOST];
    v->menu = menu;
    v->menu_list = (struct tui_list){ .n = choices(v, c) };
    for (int i = 0; i < v->menu_list.n; i++)
        if (c[i].type == CUT_Q4_0) v->menu_list.cursor = i;
}

void quant_menu_draw(struct quant_view *v, struct tui_area a) {
    struct choice c[MOST];
    const struct tui_cmp *cmp = quant_cmp(v);
    int n = choices(v, c), tensor = quant_tensor(v);
    char title[128];
    if (v->menu == QUANT_MENU_ADD) snprintf(title, sizeof title, "add a build");
    else snprintf(title, sizeof title, "%s of %s as", tensor >= 0 ? cmp->tensor[tensor].name : "", cmp->build[v->build].name);
    struct tui_area in = tui_overlay(a, 62, n + 2 > a.h - 2 ? a.h - 2 : n + 2, title);
    v->menu_list.n = n;
    tui_list_show(&v->menu_list, in.h);
    for (int y = 0; y < in.h && v->menu_list.top + y < n; y++) {
        const struct choice *k = &c[v->menu_list.top + y];
        tui_text(in, 2, y, TUI_TEXT, k->name ? k->name : "FILE");
        if (k->bits > 0) tui_textf(in, 14, y, TUI_DIM, "%5.2f bits/weight", k->bits);
        if (k->type >= 0 && tensor >= 0 && v->menu == QUANT_MENU_TYPE && cmp->tensor[tensor].cols % cut_type_info((uint32_t)k->type)->block)
            tui_textf(in, 34, y, TUI_WARN, "rows of %d do not fit", (int)cmp->tensor[tensor].cols);
        tui_text_fit(in, 14, in.w - 1, y, TUI_DIM, k->what);
        if (v->menu_list.top + y != v->menu_list.cursor) continue;
        tui_put(in, 1, y, TUI_FOCUS | TUI_BOLD, tui_glyph(a.g, TUI_G_CURSOR));
        tui_mark_row(in, y, TUI_SELECTED);
    }
}

static void add(struct quant_view *v, const char *name) {
    v->picked = false;
    quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_ADD }, name);
}

static void accept_add(void *user, const char *text) {
    if (*text) add(user, text);
}

static void take(struct quant_view *v) {
    struct choice c[MOST];
    int n = choices(v, c), menu = v->menu, tensor = quant_tensor(v);
    const struct choice *k = &c[v->menu_list.cursor < n ? v->menu_list.cursor : 0];
    v->menu = QUANT_NO_MENU;
    if (menu == QUANT_MENU_TYPE) quant_post(v, (struct tui_cmp_ask){ .op = TUI_CMP_RETYPE, .n = v->build, .tensor = tensor, .type = k->type }, NULL);
    else if (k->name) add(v, k->name);
    else tui_app_ask(v->app, "file> ", "", "a GGUF file with the same vocabulary; Esc leaves", accept_add, v);
}

void quant_menu_key(struct quant_view *v, int key) {
    if (key == TUI_KEY_ENTER) take(v);
    else if (key == TUI_KEY_ESC || key == 'q') v->menu = QUANT_NO_MENU;
    else tui_list_key(&v->menu_list, key, 12);
}
