/* step_edit.c - the menu of edits: what can be done to the value under the cursor. */
#include <stdlib.h>
#include <string.h>

#include "tui/view/step.h"

/* What each line edits, and with what: a number that is asked for, or a fixed one. */
enum part { CELL, HEAD, WHOLE };
struct choice { char key; enum part part; enum cut_edit_op op; bool asks; float value; const char *text; };
static const struct choice choices[] = {
    { 'z', HEAD, CUT_EDIT_SET, false, 0, "zero this head" },
    { 's', HEAD, CUT_EDIT_SCALE, true, 2, "scale this head by .." },
    { 'v', CELL, CUT_EDIT_SET, true, 0, "set this number to .." },
    { 'x', CELL, CUT_EDIT_SCALE, true, 2, "scale this number by .." },
    { '0', WHOLE, CUT_EDIT_SET, false, 0, "zero the whole value" },
    { 'w', WHOLE, CUT_EDIT_SCALE, true, 2, "scale the whole value by .." },
};
enum { N_CHOICES = sizeof choices / sizeof *choices };

/* The choices that make sense here: values without heads have no lines about heads. */
static int offered(const struct step_view *v, const struct choice *out[N_CHOICES]) {
    const struct tui_value *val = step_value(v);
    int n = 0;
    for (int i = 0; i < N_CHOICES; i++)
        if (choices[i].part != HEAD || (val && val->heads)) out[n++] = &choices[i];
    return n;
}

static void post(struct step_view *v, float value) {
    v->pending.value = value;
    tui_app_post(v->app, &(struct tui_cmd){ .kind = TUI_CMD_EDIT, .edit = v->pending });
}

static void accept_number(void *user, const char *text) {
    struct step_view *v = user;
    char *end;
    float x = strtof(text, &end);
    if (end == text || *end) tui_app_say(v->app, TUI_BAD, "\"%.40s\" is not a number", text);
    else post(v, x);
}

static void choose(struct step_view *v, const struct choice *c) {
    const struct tui_snap *s = tui_app_snap(v->app);
    const struct tui_value *val = step_value(v);
    if (!val || !val->data) return;
    struct cut_edit *e = &v->pending;
    *e = (struct cut_edit){ .op = c->op, .i0 = -1, .i1 = -1, .pos0 = s->pos, .pos1 = -1 };
    snprintf(e->step, sizeof e->step, "%s", step_selected(v)->name);
    v->row_at = v->heat.row + val->row0;       /* the cursor stays where the edit is */
    v->col_at = v->heat.col;
    step_watch(v);
    if (c->part == CELL) e->i0 = (int)v->heat.col;
    if (c->part != WHOLE && val->heads) e->i1 = (int)v->heat.row;
    const char *label = c->op == CUT_EDIT_SET ? "set to> " : "scale by> ";
    if (c->asks) tui_app_ask(v->app, label, "", "a number; Esc leaves it as it is", accept_number, v);
    else post(v, c->value);
}

bool step_menu_key(struct step_view *v, int key) {
    const struct choice *c[N_CHOICES];
    v->menu_list.n = offered(v, c);
    if (key == TUI_KEY_ENTER) {
        choose(v, c[v->menu_list.cursor]);
        return false;
    }
    for (int i = 0; i < v->menu_list.n; i++) {
        if (key != c[i]->key) continue;
        choose(v, c[i]);
        return false;
    }
    return tui_list_key(&v->menu_list, key, v->menu_list.n);
}

void step_draw_menu(struct step_view *v, struct tui_area a) {
    const struct choice *c[N_CHOICES];
    const struct tui_snap *s = tui_app_snap(v->app);
    char title[96];
    int n = v->menu_list.n = offered(v, c);
    snprintf(title, sizeof title, "edit %s", step_selected(v)->name);
    struct tui_area in = tui_overlay(a, 46, n + 5, title);
    in = tui_part(in, 1, 0, in.w - 2, in.h);
    for (int i = 0; i < n; i++) {
        bool cursor = i == v->menu_list.cursor;
        if (cursor) tui_put(in, 0, i, TUI_FOCUS | TUI_BOLD, tui_glyph(in.g, TUI_G_CURSOR));
        tui_textf(in, 2, i, TUI_KEY | TUI_BOLD, "%c", c[i]->key);
        int x = tui_text(in, 5, i, cursor ? TUI_SELECT : TUI_TEXT, c[i]->text);
        if (c[i]->part == HEAD) tui_textf(in, x, i, TUI_DIM, "  (head %d)", (int)v->heat.row);
        if (cursor) tui_mark_row(in, i, TUI_SELECTED);
    }
    tui_textf(in, 0, n + 1, TUI_DIM, "for the token at position %d and after it;", s->pos);
    tui_text(in, 0, n + 2, TUI_DIM, "what follows is computed anew; u undoes");
}
