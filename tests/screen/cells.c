/* The grid: clipping, wide and combining characters, ASCII spelling, wrapping. */
#include "tests/test.h"
#include "tui/screen/cell.h"

static char row_text[1024];

static const char *row(const struct tui_grid *g, int y) {
    tui_grid_row(g, y, row_text);
    return row_text;
}

TEST(screen_text_is_clipped_to_its_area) {
    struct tui_grid g;
    tui_grid_init(&g, 10, 2, true);
    struct tui_area a = tui_part(tui_whole(&g), 2, 0, 5, 1);
    CHECK(tui_text(a, -2, 0, 0, "abcdefghij") == 8);
    CHECK(!strcmp(row(&g, 0), "  cdefg   "), "got '%s'", row_text);
    tui_text(a, 0, 1, 0, "below");                     /* row 1 lies outside */
    CHECK(!strcmp(row(&g, 1), "          "));
    tui_text_fit(a, 0, 5, 0, 0, "longer text");
    CHECK(!strcmp(row(&g, 0), "  lon..   "), "got '%s'", row_text);
    tui_text_right(a, 5, 0, 0, "ab");
    CHECK(!strcmp(row(&g, 0), "  lonab   "), "got '%s'", row_text);
    tui_grid_done(&g);
}

TEST(screen_areas_never_leave_their_parent) {
    struct tui_grid g;
    tui_grid_init(&g, 10, 6, true);
    struct tui_area a = tui_part(tui_whole(&g), -3, 2, 100, 100);
    CHECK(a.x == 0 && a.y == 2 && a.w == 10 && a.h == 4);
    struct tui_area b = tui_part(a, 12, 1, 3, 3);
    CHECK(b.w == 0);
    struct tui_area left = tui_cut_left(&a, 4), bottom = tui_cut_bottom(&a, 9);
    CHECK(left.w == 4 && a.x == 4 && a.w == 6 && a.h == 0 && bottom.h == 4);
    tui_fill(bottom, 0, '#');
    CHECK(!strcmp(row(&g, 5), "    ######"));
    CHECK(!strcmp(row(&g, 1), "          "));
    tui_grid_done(&g);
}

TEST(screen_wide_characters_take_two_cells) {
    struct tui_grid g;
    tui_grid_init(&g, 6, 1, false);
    struct tui_area a = tui_whole(&g);
    CHECK(tui_text(a, 0, 0, 0, "\xe6\x97\xa5x") == 3);       /* a CJK ideograph, then x */
    CHECK(g.cells[1].glyph == 0 && g.cells[2].glyph == 'x');
    tui_put(a, 1, 0, 0, 'y');                                /* its right half is overwritten: the left goes too */
    CHECK(g.cells[0].glyph == ' ' && g.cells[1].glyph == 'y');
    tui_text(a, 5, 0, 0, "\xe6\x97\xa5");                    /* half of it would not fit */
    CHECK(g.cells[5].glyph == ' ');
    tui_grid_done(&g);
}

TEST(screen_combining_characters_join_the_cell_before) {
    struct tui_grid g;
    tui_grid_init(&g, 4, 1, false);
    CHECK(tui_text(tui_whole(&g), 0, 0, 0, "e\xcc\x81z") == 2);
    CHECK(g.cells[0].glyph == 'e' && g.cells[0].mark == 0x301 && g.cells[1].glyph == 'z');
    CHECK(!strcmp(row(&g, 0), "e\xcc\x81z  "));
    tui_grid_done(&g);
}

TEST(screen_ascii_spells_mathematics) {
    struct tui_grid g;
    tui_grid_init(&g, 24, 1, true);
    const char *formula = "\xce\xa3 q\xc2\xb7k / \xe2\x88\x9a" "d \xe6\x97\xa5";
    CHECK(tui_text(tui_whole(&g), 0, 0, 0, formula) == tui_text_width(&g, formula));
    CHECK(!strcmp(row(&g, 0), "sum q.k / sqrt d ?      "), "got '%s'", row_text);
    tui_text(tui_whole(&g), 0, 0, 0, "a\nb\xff" "c");
    CHECK(!strncmp(row(&g, 0), "a.b?c", 5), "got '%s'", row_text);
    tui_grid_done(&g);
}

TEST(screen_wrap_breaks_at_blanks) {
    struct tui_grid g;
    tui_grid_init(&g, 10, 5, true);
    CHECK(tui_text_wrap(tui_whole(&g), 0, 0, "one two three fourteenletters\nx") == 4);
    CHECK(!strcmp(row(&g, 0), "one two   "));
    CHECK(!strcmp(row(&g, 1), "three     "));
    CHECK(!strcmp(row(&g, 2), "fourteenle"));
    CHECK(!strcmp(row(&g, 3), "x         "));
    tui_grid_done(&g);
}
