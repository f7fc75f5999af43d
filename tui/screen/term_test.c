/* term_test.c - a terminal that replays keys and prints what it would show.
 *
 * A script is words between blanks; '#' starts a comment that ends with the line. A word is the name of a key as keys.h
 * has it (Space BS Enter Esc Tab S-Tab Up C-l ] q), or
 *   text:hello_there   types the letters; '_' types a blank
 *   resize:160x48      changes the size
 *   click:10,4         presses the mouse there; wheel:10,4,-1 turns its wheel up there
 *   wait               waits until the engine has nothing left to do
 *   shot               prints the screen
 *   roles              from here on shots print the roles below each row, where they differ from plain text */
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"
#include "tui/screen/term.h"

struct test_term {
    struct tui_term term;
    char *script, *at;         /* at: what comes next */
    char *typing;              /* within a text: word */
    int w, h, shots;
    bool roles, want_shot;
    FILE *out;
};

static void size(struct tui_term *t, int *w, int *h) {
    struct test_term *tt = (struct test_term *)t;
    *w = tt->w;
    *h = tt->h;
}

/* One letter for the role of a cell: '.' for plain text, a to z for the others but the ramps, which are digits. */
static char role_letter(const struct tui_cell *c) {
    if (c->attr & TUI_REVERSE) return '!';
    if (c->attr & TUI_SELECTED) return '_';
    if (c->role >= TUI_DIV0) return (char)('0' + abs((int)c->role - TUI_DIV0 - 5));
    if (c->role >= TUI_SEQ0) return (char)('0' + c->role - TUI_SEQ0);
    return c->role == TUI_TEXT ? '.' : (char)('a' + c->role - 1);
}

static void print_grid(struct test_term *tt, const struct tui_grid *g) {
    char *row = tui_alloc((size_t)g->w * 8 + 1, 1);
    fprintf(tt->out, "# shot %d  %dx%d\n", ++tt->shots, g->w, g->h);
    for (int y = 0; y < g->h; y++) {
        size_t n = tui_grid_row(g, y, row);
        while (n && row[n - 1] == ' ') n--;        /* editors strip trailing blanks; so do we */
        fprintf(tt->out, "%.*s\n", (int)n, row);
        if (!tt->roles) continue;
        n = 0;
        for (int x = 0; x < g->w; x++)
            if ((row[x] = role_letter(&g->cells[y * g->w + x])) != '.') n = (size_t)x + 1;
        fprintf(tt->out, "~%.*s\n", (int)n, row);
    }
    free(row);
    fflush(tt->out);
}

static void present(struct tui_term *t, const struct tui_grid *g) {
    struct test_term *tt = (struct test_term *)t;
    if (!tt->want_shot) return;
    tt->want_shot = false;
    print_grid(tt, g);
}

/* Cut the next word off the script, or NULL at its end. */
static char *next_word(struct test_term *tt) {
    for (;;) {
        tt->at += strspn(tt->at, " \t\r\n");
        if (tt->at[0] != '#') break;
        tt->at += strcspn(tt->at, "\n");
    }
    if (!*tt->at) return NULL;
    char *word = tt->at;
    tt->at += strcspn(tt->at, " \t\r\n");
    if (*tt->at) *tt->at++ = 0;
    return word;
}

static struct tui_event type_one(struct test_term *tt) {
    uint32_t cp = '?';
    int n = cut_utf8_decode(tt->typing, strlen(tt->typing), &cp);
    tt->typing += n > 0 ? n : 1;
    if (!*tt->typing) tt->typing = NULL;
    return (struct tui_event){ .kind = TUI_EV_KEY, .key = cp == '_' ? ' ' : (int)cp };
}

static struct tui_event wait_event(struct tui_term *t, int wake_fd, int ms) {
    struct test_term *tt = (struct test_term *)t;
    struct tui_event ev = { .kind = TUI_EV_KEY };
    (void)wake_fd;
    (void)ms;
    if (tt->typing) return type_one(tt);
    char *word = next_word(tt), end;
    if (!word) return (struct tui_event){ .kind = TUI_EV_END };
    if (!strcmp(word, "wait")) ev.kind = TUI_EV_SETTLE;
    else if (!strcmp(word, "shot")) ev.kind = TUI_EV_SHOT, tt->want_shot = true;
    else if (!strcmp(word, "roles")) ev.kind = TUI_EV_NONE, tt->roles = true;
    else if (sscanf(word, "resize:%dx%d%c", &tt->w, &tt->h, &end) == 2) ev.kind = TUI_EV_RESIZE;
    else if (sscanf(word, "click:%d,%d%c", &ev.x, &ev.y, &end) == 2) ev.kind = TUI_EV_MOUSE, ev.button = 1;
    else if (sscanf(word, "wheel:%d,%d,%d%c", &ev.x, &ev.y, &ev.button, &end) == 3)
        ev.kind = TUI_EV_MOUSE, ev.button = ev.button < 0 ? 4 : 5;
    else if (!strncmp(word, "text:", 5) && word[5]) return tt->typing = word + 5, type_one(tt);
    else if ((ev.key = tui_key_by_name(word)) < 0) {
        fprintf(tt->out, "# no such key: %s\n", word);
        ev.kind = TUI_EV_END;
    }
    return ev;
}

/* There is nothing to give back, but what others do meanwhile is done. */
static void suspend(struct tui_term *t, void (*meanwhile)(void *user), void *user) {
    (void)t;
    if (meanwhile) meanwhile(user);
}

static void nothing(struct tui_term *t) { (void)t; }

static void close_test(struct tui_term *t) {
    struct test_term *tt = (struct test_term *)t;
    free(tt->script);
    free(tt);
}

static const struct tui_term_class class = { size, wait_event, present, suspend, nothing, close_test };

struct tui_term *tui_term_open_test(const char *script, int w, int h, bool roles, FILE *out) {
    struct test_term *tt = tui_alloc(1, sizeof *tt);
    tt->term = (struct tui_term){ .class = &class, .scheme = TUI_MONO, .depth = TUI_256, .scripted = true };
    tt->script = tt->at = tui_strdup(script);
    tt->w = w;
    tt->h = h;
    tt->roles = roles;
    tt->out = out;
    return &tt->term;
}
