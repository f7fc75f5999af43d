/* term_curses.c - the terminal people use. The only file that knows curses.
 *
 * Curses compares frames and sends the difference. What it does not do, we do here: more than 16 colours by numbers
 * rather than by palette, true colour where the terminal description offers it, waiting for a key and for a worker at the
 * same time, and giving the terminal back when the program dies. */
#define _XOPEN_SOURCE_EXTENDED 1
#define NCURSES_WIDECHAR 1
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "tui/screen/mem.h"
#include "tui/screen/term.h"

#include <curses.h>
#include <term.h>          /* last: it defines common words as macros */

struct pair { int32_t fg, bg; };
struct look { attr_t attr; int pair; bool known; };       /* how curses shows a style */

struct curses_term {
    struct tui_term term;
    SCREEN *screen;
    struct tui_grid shown;         /* what curses was last told */
    enum tui_scheme shown_scheme;
    struct pair pairs[1024];       /* colour pairs in use, from number 1 */
    int n_pairs;
    struct look look[TUI_ROLE_COUNT][64];      /* by role and the six attribute bits; of shown_scheme */
};

/* ---- putting the terminal back, whatever happens
 *
 * In a signal handler only system calls are safe, so the bytes to send are prepared beforehand. */

static struct termios saved_modes;
static char restore_bytes[256];
static size_t restore_len;
static volatile sig_atomic_t taken;        /* the terminal is ours now */

static void restore_now(void) {
    if (!taken) return;
    taken = 0;
    ssize_t n = write(STDOUT_FILENO, restore_bytes, restore_len);
    (void)n;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved_modes);
}

static const int fatal_signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGHUP, SIGINT, SIGQUIT };

static const char *signal_words(int sig) {
    switch (sig) {
    case SIGSEGV: return "cutaway: crashed (segmentation fault)\n";
    case SIGBUS: return "cutaway: crashed (bus error: the model file shrank or its disk failed?)\n";
    case SIGFPE: return "cutaway: crashed (arithmetic fault)\n";
    case SIGILL: return "cutaway: crashed (illegal instruction)\n";
    case SIGABRT: return "cutaway: crashed (aborted)\n";
    default: return "cutaway: ended by a signal\n";
    }
}

static void on_fatal_signal(int sig) {
    bool ours = taken;
    restore_now();
    if (ours && sig != SIGHUP) {
        const char *s = signal_words(sig);
        ssize_t n = write(STDERR_FILENO, s, strlen(s));
        (void)n;
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static void append_restore(const char *capability) {
    char *s = tigetstr(capability);
    if (!s || s == (char *)-1) return;
    size_t n = strlen(s);
    if (restore_len + n < sizeof restore_bytes) memcpy(restore_bytes + restore_len, s, n), restore_len += n;
}

static void prepare_restore(void) {
    static const char mouse_off[] = "\033[?1006l\033[?1000l";
    restore_len = 0;
    if (key_mouse) {
        memcpy(restore_bytes, mouse_off, sizeof mouse_off - 1);
        restore_len = sizeof mouse_off - 1;
    }
    append_restore("sgr0");
    append_restore("rmkx");
    append_restore("cnorm");
    append_restore("rmcup");
    tui_on_fatal(restore_now);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++) {
        struct sigaction sa = { .sa_handler = on_fatal_signal };
        sigemptyset(&sa.sa_mask);
        sigaction(fatal_signals[i], &sa, NULL);
    }
}

/* ---- colours */

static enum tui_depth colour_depth(void) {
    if (COLORS >= 1 << 24) return TUI_TRUE;
    return COLORS >= 256 ? TUI_256 : TUI_16;
}

/* The pair of these colours, made when first asked for. */
static int pair_of(struct curses_term *ct, struct pair want) {
    for (int i = 0; i < ct->n_pairs; i++)
        if (ct->pairs[i].fg == want.fg && ct->pairs[i].bg == want.bg) return i + 1;
    int most = (int)(sizeof ct->pairs / sizeof *ct->pairs);
    if (most > COLOR_PAIRS - 1) most = COLOR_PAIRS - 1;
    if (ct->n_pairs >= most) return 0;
    ct->pairs[ct->n_pairs++] = want;
    init_extended_pair(ct->n_pairs, want.fg, want.bg);
    return ct->n_pairs;
}

/* A direct-colour terminal still reads 0 to 7 as its palette: the nearest colour beyond stands in for black. */
static int32_t direct(int32_t colour) { return colour >= 0 && colour < 8 ? 0x000100 : colour; }

/* Working out the nearest of 240 colours takes a while: once per style and scheme is enough. */
static const struct look *look_of(struct curses_term *ct, const struct tui_cell *c) {
    struct look *l = &ct->look[c->role][c->attr >> 8 & 63];
    if (l->known) return l;
    struct tui_ink ink = tui_theme_ink(ct->term.scheme, ct->term.depth, c->role, c->attr);
    *l = (struct look){ A_NORMAL, 0, true };
    if (ink.attr & TUI_BOLD) l->attr |= A_BOLD;
    if (ink.attr & TUI_UNDERLINE) l->attr |= A_UNDERLINE;
    if (ink.attr & TUI_REVERSE) l->attr |= A_REVERSE;
    if (ink.attr & TUI_FAINT) l->attr |= A_DIM;
    if (ct->term.depth == TUI_16 && ink.fg >= COLORS) {        /* eight colours: bold is bright, and bold black is unseen */
        l->attr |= ink.fg == 8 ? A_DIM : A_BOLD;
        ink.fg = ink.fg == 8 ? -1 : ink.fg - 8;
    }
    if (ct->term.depth == TUI_TRUE) ink.fg = direct(ink.fg), ink.bg = direct(ink.bg);
    if (ct->term.scheme != TUI_MONO) l->pair = pair_of(ct, (struct pair){ ink.fg, ink.bg });
    return l;
}

static void put_cell(struct curses_term *ct, int x, int y, const struct tui_cell *c) {
    const struct look *l = look_of(ct, c);
    wchar_t text[3] = { (wchar_t)c->glyph, (wchar_t)c->mark, 0 };
    int pair = l->pair;
    cchar_t cell;
    setcchar(&cell, text, l->attr, 0, &pair);
    mvadd_wch(y, x, &cell);
}

static void present(struct tui_term *t, const struct tui_grid *g) {
    struct curses_term *ct = (struct curses_term *)t;
    bool all = ct->shown.w != g->w || ct->shown.h != g->h || ct->shown_scheme != t->scheme;
    if (all) {
        tui_grid_resize(&ct->shown, g->w, g->h);
        if (ct->shown_scheme != t->scheme) memset(ct->look, 0, sizeof ct->look);
        ct->shown_scheme = t->scheme;
        erase();
    }
    for (int y = 0; y < g->h; y++) {
        for (int x = 0; x < g->w; x++) {
            const struct tui_cell *c = &g->cells[y * g->w + x];
            struct tui_cell *was = &ct->shown.cells[y * g->w + x];
            if (!all && was->glyph == c->glyph && was->mark == c->mark && was->role == c->role && was->attr == c->attr)
                continue;
            *was = *c;
            if (c->glyph) put_cell(ct, x, y, c);
        }
    }
    refresh();
}

/* ---- events */

static const struct { int curses, key; } key_map[] = {
    { KEY_UP, TUI_KEY_UP }, { KEY_DOWN, TUI_KEY_DOWN }, { KEY_LEFT, TUI_KEY_LEFT }, { KEY_RIGHT, TUI_KEY_RIGHT },
    { KEY_HOME, TUI_KEY_HOME }, { KEY_END, TUI_KEY_END }, { KEY_PPAGE, TUI_KEY_PAGE_UP }, { KEY_NPAGE, TUI_KEY_PAGE_DOWN },
    { KEY_DC, TUI_KEY_DELETE }, { KEY_IC, TUI_KEY_INSERT }, { KEY_BTAB, TUI_KEY_BACKTAB },
    { KEY_BACKSPACE, TUI_KEY_BACKSPACE }, { KEY_ENTER, TUI_KEY_ENTER }, { KEY_A1, TUI_KEY_HOME }, { KEY_C1, TUI_KEY_END },
};

static struct tui_event key_event(wint_t code) {
    if (code >= KEY_F(1) && code <= KEY_F(12))
        return (struct tui_event){ .kind = TUI_EV_KEY, .key = TUI_KEY_F1 + (int)code - KEY_F(1) };
    for (size_t i = 0; i < sizeof key_map / sizeof *key_map; i++)
        if (code == (wint_t)key_map[i].curses) return (struct tui_event){ .kind = TUI_EV_KEY, .key = key_map[i].key };
    return (struct tui_event){ .kind = TUI_EV_NONE };
}

static struct tui_event mouse_event(void) {
    MEVENT m;
    struct tui_event ev = { .kind = TUI_EV_MOUSE };
    if (getmouse(&m) != OK) return (struct tui_event){ .kind = TUI_EV_NONE };
    ev.x = m.x;
    ev.y = m.y;
    if (m.bstate & (BUTTON1_PRESSED | BUTTON1_CLICKED)) ev.button = 1;
    else if (m.bstate & BUTTON4_PRESSED) ev.button = 4;
    else if (m.bstate & BUTTON5_PRESSED) ev.button = 5;
    else ev.kind = TUI_EV_NONE;
    return ev;
}

/* What curses has for us without waiting. */
static bool pending(struct tui_event *ev) {
    wint_t code;
    int kind = get_wch(&code);
    if (kind == ERR) return false;
    if (kind == KEY_CODE_YES) {
        if (code == KEY_RESIZE) *ev = (struct tui_event){ .kind = TUI_EV_RESIZE };
        else *ev = code == KEY_MOUSE ? mouse_event() : key_event(code);
    } else {
        if (code == '\n') code = TUI_KEY_ENTER;
        if (code == 8) code = TUI_KEY_BACKSPACE;
        *ev = (struct tui_event){ .kind = TUI_EV_KEY, .key = (int)code };
    }
    return true;
}

static struct tui_event wait_event(struct tui_term *t, int wake_fd, int ms) {
    struct tui_event ev = { .kind = TUI_EV_NONE };
    struct pollfd fds[2] = { { STDIN_FILENO, POLLIN, 0 }, { wake_fd, POLLIN, 0 } };
    (void)t;
    if (pending(&ev)) return ev;
    int n = poll(fds, wake_fd >= 0 ? 2 : 1, ms);
    if (n < 0 && errno != EINTR) return (struct tui_event){ .kind = TUI_EV_END };
    if (pending(&ev)) return ev;                                 /* also a resize, which interrupted poll */
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) ev.kind = TUI_EV_END;
    else if (wake_fd >= 0 && fds[1].revents) ev.kind = TUI_EV_WAKE;
    return ev;
}

static void size(struct tui_term *t, int *w, int *h) {
    (void)t;
    getmaxyx(stdscr, *h, *w);
}

static void redraw(struct tui_term *t) {
    (void)t;
    clearok(curscr, TRUE);
}

static void suspend(struct tui_term *t, void (*meanwhile)(void *user), void *user) {
    def_prog_mode();
    endwin();
    taken = 0;
    if (meanwhile) meanwhile(user);
    else raise(SIGTSTP);
    taken = 1;
    reset_prog_mode();
    redraw(t);
    refresh();
}

static void close_curses(struct tui_term *t) {
    struct curses_term *ct = (struct curses_term *)t;
    endwin();
    taken = 0;
    tui_on_fatal(NULL);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof *fatal_signals; i++) signal(fatal_signals[i], SIG_DFL);
    delscreen(ct->screen);
    tui_grid_done(&ct->shown);
    free(ct);
}

/* ---- opening */

/* "xterm-256color" to "xterm-direct", when the user's terminal says it shows true colour and the system describes it. */
static bool direct_name(const char *name, char *buf, size_t cap) {
    const char *says = getenv("COLORTERM");
    if (!says || (strcmp(says, "truecolor") && strcmp(says, "24bit"))) return false;
    size_t stem = strcspn(name, "-");
    if (snprintf(buf, cap, "%.*s-direct", (int)stem, name) >= (int)cap) return false;
    int found;
    return setupterm(buf, STDOUT_FILENO, &found) == OK;
}

static enum cut_status check_terminal(const char **name, struct cut_err *err) {
    const char *advice = "the workbench needs a terminal; see `cutaway --help` for what runs without one";
    *name = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return cut_fail(err, CUT_EUSAGE, "standard %s is not a terminal: %s", isatty(STDIN_FILENO) ? "output" : "input",
                        advice);
    if (!*name || !**name) return cut_fail(err, CUT_EUSAGE, "TERM is not set: %s", advice);
    int found;
    if (setupterm(*name, STDOUT_FILENO, &found) != OK)
        return cut_fail(err, CUT_EUSAGE, "TERM=%s is unknown on this system (is ncurses-term installed?)", *name);
    char *move = tigetstr("cup");
    if (!move || move == (char *)-1)
        return cut_fail(err, CUT_EUSAGE, "TERM=%s cannot place a cursor: %s", *name, advice);
    return CUT_OK;
}

enum cut_status tui_term_open_curses(struct tui_term **out, struct cut_err *err) {
    static const struct tui_term_class class = { size, wait_event, present, suspend, redraw, close_curses };
    const char *name;
    char direct_colour[64];
    setlocale(LC_CTYPE, "");                   /* and only that: numbers keep their points */
    enum cut_status st = check_terminal(&name, err);
    if (st) return st;
    tcgetattr(STDIN_FILENO, &saved_modes);
    if (direct_name(name, direct_colour, sizeof direct_colour)) name = direct_colour;
    SCREEN *screen = newterm(name, stdout, stdin);
    if (!screen) return cut_fail(err, CUT_ESYSTEM, "cannot take over the terminal (TERM=%s)", name);
    taken = 1;
    struct curses_term *ct = tui_alloc(1, sizeof *ct);
    ct->screen = screen;
    ct->term = (struct tui_term){ .class = &class, .scheme = TUI_DARK, .utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8") };
    prepare_restore();
    raw();                                     /* ^C and ^Z are keys of ours */
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    mousemask(BUTTON1_PRESSED | BUTTON1_CLICKED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
    mouseinterval(0);
    if (has_colors() && start_color() == OK && use_default_colors() == OK && COLORS >= 8) ct->term.depth = colour_depth();
    else ct->term.scheme = TUI_MONO;
    *out = &ct->term;
    return CUT_OK;
}
