/* Ramps: monotone in luminance, in true colour and in 256 colours; every role can be read on its background. */
#include "tests/test.h"
#include "tui/screen/theme.h"

static double luminance(int scheme, int depth, int role) {
    struct tui_ink ink = tui_theme_ink((enum tui_scheme)scheme, (enum tui_depth)depth, (uint8_t)role, TUI_FILL);
    return tui_luminance(depth == TUI_TRUE ? (uint32_t)ink.bg : tui_256_to_rgb(ink.bg));
}

TEST(screen_ramps_are_monotone_in_luminance) {
    for (int s = TUI_DARK; s < TUI_MONO; s++) {
        for (int d = TUI_256; d <= TUI_TRUE; d++) {
            double up = s == TUI_LIGHT ? -1 : 1;           /* on white, more is darker */
            for (int i = 0; i < 9; i++)
                CHECK(up * (luminance(s, d, TUI_SEQ0 + i + 1) - luminance(s, d, TUI_SEQ0 + i)) > 0,
                      "%s depth %d seq %d", tui_scheme_name((enum tui_scheme)s), d, i);
            for (int i = 0; i < 5; i++) {
                CHECK(up * (luminance(s, d, TUI_DIV0 + i) - luminance(s, d, TUI_DIV0 + i + 1)) > 0,
                      "%s depth %d div %d", tui_scheme_name((enum tui_scheme)s), d, i - 5);
                CHECK(up * (luminance(s, d, TUI_DIV0 + 10 - i) - luminance(s, d, TUI_DIV0 + 9 - i)) > 0,
                      "%s depth %d div %d", tui_scheme_name((enum tui_scheme)s), d, 5 - i);
            }
        }
    }
}

TEST(screen_roles_stand_out_from_their_background) {
    static const int roles[] = { TUI_TEXT, TUI_DIM, TUI_FOCUS, TUI_SELECT, TUI_TITLE, TUI_KEY, TUI_GOOD, TUI_WARN, TUI_BAD,
                                 TUI_EDITED, TUI_DERIVED };
    for (int s = TUI_DARK; s < TUI_MONO; s++) {
        for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
            for (unsigned attr = 0; attr <= TUI_SELECTED; attr += TUI_SELECTED) {
                struct tui_ink ink = tui_theme_ink((enum tui_scheme)s, TUI_TRUE, (uint8_t)roles[i], (uint16_t)attr);
                double a = tui_luminance((uint32_t)ink.fg) + 0.05, b = tui_luminance((uint32_t)ink.bg) + 0.05;
                double ratio = a > b ? a / b : b / a, want = roles[i] == TUI_DIM ? 2.9 : 4.5;     /* WCAG 2.1, 1.4.3 */
                CHECK(ratio >= want, "%s %s%s: contrast %.2f", tui_scheme_name((enum tui_scheme)s),
                      tui_role_name((enum tui_role)roles[i]), attr ? " selected" : "", ratio);
            }
        }
    }
}

TEST(screen_mono_uses_no_colour) {
    for (int r = 0; r < TUI_ROLE_COUNT; r++) {
        struct tui_ink ink = tui_theme_ink(TUI_MONO, TUI_256, (uint8_t)r, TUI_FILL);
        CHECK(ink.fg == -1 && ink.bg == -1);
    }
    CHECK(tui_scheme_by_name("Light") == TUI_LIGHT && tui_scheme_by_name("pink") == -1);
}

TEST(screen_256_colours_round_trip) {
    for (int i = 16; i < 256; i++) CHECK(tui_256_to_rgb(tui_rgb_to_256(tui_256_to_rgb(i))) == tui_256_to_rgb(i));
}
