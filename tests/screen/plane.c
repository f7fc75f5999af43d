/* plane.c - where points and lines fall in the three levels, and which figures stand on axes. */
#include "tests/test.h"

#include "tui/screen/widget.h"

static struct tui_plane plane(struct tui_grid *g, enum tui_plane_level level, bool log) {
    tui_grid_clear(g);
    struct tui_axis x = { log ? 1 : 0, log ? 1000 : 10, log }, y = { log ? 1 : 0, log ? 100 : 4, log };
    return (struct tui_plane){ tui_whole(g), x, y, level };
}

static const char *row(const struct tui_grid *g, int y) {
    static char buf[4][512];
    static int at;
    char *s = buf[at++ % 4];
    size_t n = tui_grid_row(g, y, s);
    while (n && s[n - 1] == ' ') n--;
    s[n] = 0;
    return s;
}

TEST(plane_corners_and_middle) {
    struct tui_grid g;
    tui_grid_init(&g, 11, 5, true);
    struct tui_plane p = plane(&g, TUI_PLANE_ASCII, false);
    tui_plane_mark(&p, 0, 0, TUI_TEXT, 'a');
    tui_plane_mark(&p, 10, 4, TUI_TEXT, 'b');
    tui_plane_mark(&p, 5, 2, TUI_TEXT, 'c');
    tui_plane_mark(&p, 11, 2, TUI_TEXT, 'x');
    tui_plane_mark(&p, 5, -1, TUI_TEXT, 'x');
    CHECK(!strcmp(row(&g, 0), "          b"), "%s", row(&g, 0));
    CHECK(!strcmp(row(&g, 2), "     c"), "%s", row(&g, 2));
    CHECK(!strcmp(row(&g, 4), "a"), "%s", row(&g, 4));
    p = plane(&g, TUI_PLANE_ASCII, true);
    CHECK(tui_plane_col(&p, 1) == 0 && tui_plane_col(&p, 1000) == 10 && tui_plane_col(&p, 31.6228) == 5);
    CHECK(tui_plane_row(&p, 10) == 2 && tui_plane_row(&p, 100) == 0);
    CHECK(tui_plane_col(&p, 0) < 0 && tui_plane_row(&p, -1) > 4);      /* no logarithm: outside */
    tui_grid_done(&g);
}

/* The diagonal in each level; dots put together where lines meet; what is no dot stays. */
TEST(plane_levels_draw_the_same_line) {
    struct tui_grid g;
    tui_grid_init(&g, 4, 2, false);
    struct tui_plane p = plane(&g, TUI_PLANE_ASCII, false);
    tui_plane_line(&p, 0, 0, 10, 4, TUI_TEXT, '.', 1);
    CHECK(!strcmp(row(&g, 0), "  ..") && !strcmp(row(&g, 1), ".."), "%s|%s", row(&g, 0), row(&g, 1));
    p = plane(&g, TUI_PLANE_BLOCK, false);
    tui_plane_dot(&p, 0, 4, TUI_TEXT, '.');
    CHECK(g.cells[0].glyph == 0x2598);
    tui_plane_line(&p, 0, 0, 0, 4, TUI_TEXT, '.', 1);
    CHECK(g.cells[0].glyph == 0x258C && g.cells[4].glyph == 0x258C);
    p = plane(&g, TUI_PLANE_BRAILLE, false);
    tui_plane_dot(&p, 0, 4, TUI_TEXT, '.');
    tui_plane_dot(&p, 10, 0, TUI_TEXT, '.');
    CHECK(g.cells[0].glyph == 0x2801 && g.cells[7].glyph == 0x2880);
    tui_plane_line(&p, 0, 4, 0, 0, TUI_TEXT, '.', 1);
    CHECK(g.cells[0].glyph == 0x2847 && g.cells[4].glyph == 0x2847);
    tui_plane_mark(&p, 0, 4, TUI_TEXT, 'o');
    tui_plane_line(&p, 0, 4, 10, 4, TUI_TEXT, '.', 1);
    CHECK(g.cells[0].glyph == 'o' && g.cells[1].glyph == 0x2809);
    tui_plane_line(&p, -1e9, -1e9, 1e9, 1e9, TUI_TEXT, '.', 1);        /* far outside: ends */
    tui_grid_done(&g);
}

TEST(plane_ticks_are_round) {
    double t[16];
    int n = tui_ticks((struct tui_axis){ 0, 270, false }, 6, t);
    CHECK(n == 6 && t[0] == 0 && t[1] == 50 && t[5] == 250, "%d", n);
    n = tui_ticks((struct tui_axis){ -1, 1, false }, 5, t);
    CHECK(n == 5 && t[0] == -1 && t[2] == 0 && !signbit(t[2]) && t[4] == 1, "%d", n);
    n = tui_ticks((struct tui_axis){ 0.1, 1000, true }, 16, t);
    CHECK(n == 5 && fabs(t[0] - 0.1) < 1e-12 && fabs(t[4] - 1000) < 1e-9, "%d", n);
    n = tui_ticks((struct tui_axis){ 1, 1e6, true }, 4, t);
    CHECK(n == 4 && t[1] == 100, "%d", n);
    CHECK(tui_ticks((struct tui_axis){ 1, 1, false }, 4, t) == 0 && tui_ticks((struct tui_axis){ 0, 1, false }, 0, t) == 0);
    char b[16];
    CHECK(!strcmp(tui_tick_text(0.02, b), ".02") && !strcmp(tui_tick_text(1500, b), "1500") && !strcmp(tui_tick_text(2e4, b), "20k") &&
          !strcmp(tui_tick_text(4e7, b), "40M") && !strcmp(tui_tick_text(1e9, b), "1G") && !strcmp(tui_tick_text(0, b), "0"));
}

TEST(plane_axes_leave_a_plane) {
    struct tui_grid g;
    tui_grid_init(&g, 24, 7, true);
    tui_grid_clear(&g);
    struct tui_plane p = tui_plane_open(tui_whole(&g), (struct tui_axis){ 0, 4, false }, (struct tui_axis){ 0, 100, false }, 4, TUI_PLANE_BRAILLE);
    CHECK(p.level == TUI_PLANE_ASCII && p.a.x == 5 && p.a.w == 19 && p.a.h == 5);
    CHECK(!strcmp(row(&g, 0), " 100|"), "%s", row(&g, 0));
    CHECK(!strcmp(row(&g, 4), "   0|"), "%s", row(&g, 4));
    CHECK(!strcmp(row(&g, 5), "    +-------------------"), "%s", row(&g, 5));
    CHECK(!strcmp(row(&g, 6), "     0        2        4"), "%s", row(&g, 6));
    tui_grid_done(&g);
}
