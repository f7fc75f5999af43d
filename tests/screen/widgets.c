/* Numbers, keys, the line editor, lists, heat maps, the scripted terminal. */
#include "tests/test.h"
#include "tui/screen/mem.h"
#include "tui/screen/term.h"
#include "tui/screen/widget.h"

TEST(screen_numbers_fit_their_column) {
    static const struct { float v; int w; const char *want; } cases[] = {
        { 1.024f, 5, "1.02" }, { -0.3149f, 5, "-.315" }, { -0.3149f, 4, "-.31" }, { 0, 5, "0" }, { 4.59f, 4, "4.59" },
        { 123.4f, 5, "123" }, { 12345.6f, 5, "12346" }, { 1234567, 5, "1.2e6" }, { 3.14e-5f, 6, "3.1e-5" },
        { 3.14e-5f, 5, "3e-5" }, { -3.14e-5f, 5, "-3e-5" }, { NAN, 5, "nan" }, { -INFINITY, 5, "-inf" },
        { 0.00123f, 5, ".0012" }, { 99.96f, 5, "100.0" }, { 0.5f, 5, ".500" },
        { -0.998f, 4, "-1.0" }, { -0.0871f, 4, "-.09" }, { 0.0871f, 4, ".087" }, { -15.83f, 4, "-16" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[16];
        tui_num(cases[i].v, cases[i].w, buf);
        CHECK(!strcmp(buf, cases[i].want), "%g in %d: '%s', want '%s'", (double)cases[i].v, cases[i].w, buf, cases[i].want);
    }
    for (float v = 1e-30f; v < 1e30f; v *= -3.7f) {
        for (int w = 5; w <= 9; w++) {
            char buf[16];
            tui_num(v, w, buf);
            double rounds = fabs(strtod(buf, NULL) / (double)v - 1);
            bool huge = fabsf(v) > 1e9f || fabsf(v) < 1e-9f; /* "-3e-30" takes six */
            CHECK((int)strlen(buf) <= w, "%g in %d: '%s'", (double)v, w, buf);
            CHECK(rounds < 0.5 || (huge && w == 5), "%g became %s", (double)v, buf);
        }
        if (fabsf(v) > 1e29f) break;
    }
    char buf[16];
    CHECK(!strcmp(tui_time(9.4e-6, buf), "9.4us") && !strcmp(tui_time(0, buf), ""));
    static const struct { double s; const char *want; } times[] = {
        { 3.1e-7, ".31" }, { 1.62e-5, "16" }, { 0.00912, "9120" }, { 0.05, "50ms" }, { 0.5312, ".53s" }, { 1.24, "1.2s" }, { 12.4, "12s" },
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        CHECK(!strcmp(tui_time_short(times[i].s, buf), times[i].want), "%g: '%s'", times[i].s, buf);
    CHECK(!strcmp(tui_bytes(47185920, buf), "45.0 MiB") && !strcmp(tui_count(1234567, buf), "1.2M"));
}

TEST(screen_key_names_round_trip) {
    static const int keys[] = { 'a', ' ', ']', '?', 27, 13, 9, 127, TUI_CTRL('l'), TUI_KEY_UP, TUI_KEY_BACKTAB, TUI_KEY_F1,
                                TUI_KEY_LAST, 0xE9 };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char buf[12];
        CHECK(tui_key_by_name(tui_key_name(keys[i], buf)) == keys[i], "key %d", keys[i]);
    }
    CHECK(tui_key_by_name("C-l") == 12 && tui_key_by_name("NoSuchKey") == -1 && tui_key_by_name("") == -1);
}

static void three_words(void *user, const char *text, struct tui_completions *c) {
    (void)user;
    static const char *const words[] = { "theme dark", "theme light", "tokens" };
    for (int i = 0; i < 3; i++)
        if (!strncmp(words[i], text, strlen(text))) tui_complete_add(c, "%s", words[i]);
}

static void type(struct tui_prompt *p, const char *keys) {
    for (; *keys; keys++) tui_prompt_key(p, *keys, three_words, NULL);
}

TEST(screen_prompt_edits_completes_and_remembers) {
    struct tui_prompt p = { 0 };
    tui_prompt_start(&p, "");
    type(&p, "th\t");
    CHECK(!strcmp(p.text, "theme "), "got '%s'", p.text);
    type(&p, "l\t");
    CHECK(!strcmp(p.text, "theme light"));
    tui_prompt_remember(&p);
    tui_prompt_start(&p, "");
    tui_prompt_key(&p, 0xE9, NULL, NULL);                       /* two bytes, one character */
    type(&p, "xy");
    tui_prompt_key(&p, TUI_KEY_LEFT, NULL, NULL);
    tui_prompt_key(&p, TUI_KEY_LEFT, NULL, NULL);
    tui_prompt_key(&p, TUI_KEY_BACKSPACE, NULL, NULL);
    CHECK(!strcmp(p.text, "xy") && p.at == 0);
    tui_prompt_key(&p, TUI_KEY_UP, NULL, NULL);
    CHECK(!strcmp(p.text, "theme light"));
    tui_prompt_key(&p, TUI_KEY_DOWN, NULL, NULL);
    CHECK(!strcmp(p.text, "xy"));
    CHECK(tui_prompt_key(&p, TUI_KEY_ESC, NULL, NULL) == TUI_PROMPT_CANCELLED);
    tui_prompt_done(&p);
}

TEST(screen_list_keeps_its_cursor_in_view) {
    struct tui_list l = { .n = 100 };
    CHECK(tui_list_key(&l, 'G', 10) && l.cursor == 99 && l.top == 90);
    CHECK(tui_list_key(&l, 'k', 10) && l.cursor == 98 && l.top == 90);
    CHECK(tui_list_key(&l, 'g', 10) && l.cursor == 0 && l.top == 0);
    CHECK(!tui_list_key(&l, 'x', 10));
    l.n = 0;
    tui_list_show(&l, 10);
    CHECK(l.cursor == 0 && l.top == 0);
}

static const char *label(void *user, int64_t row, char buf[32]) {
    (void)user;
    snprintf(buf, 32, "h%d", (int)row);
    return buf;
}

TEST(screen_heat_shows_the_outlier_of_shared_cells) {
    struct tui_grid g;
    tui_grid_init(&g, 24, 5, true);
    float x[4 * 64] = { 0 };
    x[1 * 64 + 10] = -5, x[3 * 64 + 63] = 5, x[2 * 64] = NAN;
    struct tui_heat h = { .data = x, .rows = 4, .cols = 64, .scale = 5, .row = 1, .col = 9, .mark = -1, .label_w = 2,
                          .row_label = label };
    tui_heat_draw(tui_whole(&g), &h);
    CHECK(h.per_cell_c == 4 && h.per_cell_r == 1, "%d values in a cell", (int)h.per_cell_c);
    char row[256];
    tui_grid_row(&g, 2, row);
    CHECK(!strcmp(row, ">h1   @                 "), "got '%s'", row);
    tui_grid_row(&g, 4, row);
    CHECK(!strcmp(row, " h3                #    "), "got '%s'", row);
    tui_grid_row(&g, 0, row);
    CHECK(row[6] == 'v', "the cursor's column is marked: '%s'", row);
    CHECK(tui_heat_key(&h, 'l') && h.col == 13 && tui_heat_key(&h, TUI_KEY_DOWN) && h.row == 2);
    tui_grid_done(&g);
}

TEST(screen_heat_folds_a_vector) {
    struct tui_grid g;
    tui_grid_init(&g, 40, 9, true);
    float x[128] = { 0 };
    x[100] = 1;
    struct tui_heat h = { .data = x, .rows = 1, .cols = 128, .scale = 1, .row = 0, .col = 100, .mark = -1, .label_w = 4,
                          .row_label = label };
    tui_heat_draw(tui_whole(&g), &h);
    CHECK(h.line == 16, "%d values in a line", (int)h.line);
    char row[256];
    tui_grid_row(&g, 7, row);
    CHECK(!strncmp(row, ">  96         ##", 16), "got '%s'", row);
    CHECK(tui_heat_key(&h, 'k') && h.col == 84);
    tui_grid_done(&g);
}

TEST(screen_script_replays_keys_and_prints_shots) {
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    struct tui_term *t = tui_term_open_test("Space C-l # words\n text:a_b wait resize:12x2 shot nonsense q", 8, 2, false, f);
    static const int want[] = { ' ', 12, 'a', ' ', 'b' };
    for (int i = 0; i < 5; i++) {
        struct tui_event ev = t->class->wait(t, -1, -1);
        CHECK(ev.kind == TUI_EV_KEY && ev.key == want[i], "event %d: kind %d key %d", i, ev.kind, ev.key);
    }
    CHECK(t->class->wait(t, -1, -1).kind == TUI_EV_SETTLE);
    CHECK(t->class->wait(t, -1, -1).kind == TUI_EV_RESIZE);
    int w, h;
    t->class->size(t, &w, &h);
    struct tui_grid g;
    tui_grid_init(&g, w, h, true);
    tui_text(tui_whole(&g), 1, 1, TUI_BAD, "hello");
    t->class->present(t, &g);                                   /* nobody asked: prints nothing */
    CHECK(t->class->wait(t, -1, -1).kind == TUI_EV_SHOT);
    t->class->present(t, &g);
    CHECK(t->class->wait(t, -1, -1).kind == TUI_EV_END);        /* and the bad word is named */
    t->class->close(t);
    fclose(f);
    CHECK(!strcmp(out, "# shot 1  12x2\n\n hello\n# no such key: nonsense\n"), "got '%s'", out);
    free(out);
    tui_grid_done(&g);
}
