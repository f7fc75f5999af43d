/* theme.c - four schemes: dark, light, high contrast, monochrome.
 *
 * The sequential ramp of the dark scheme runs like viridis, from a blue near the background to a pale yellow; the
 * diverging one from blue through the background to orange, the pair of hues that every common kind of colour blindness
 * keeps apart (Okabe and Ito 2008, whose palette the six series follow). */
#include "tui/screen/theme.h"

#include <math.h>
#include <string.h>
#include <strings.h>

struct scheme {
    const char *name;
    uint32_t back, select_back;
    uint32_t rgb[TUI_ROLE_COUNT];
    int8_t ansi[TUI_ROLE_COUNT];     /* on a 16-colour terminal; -1: the default */
};

static const struct scheme schemes[] = {
    [TUI_DARK] = {
        "dark", 0x15181E, 0x2B3650,
        { [TUI_TEXT] = 0xD3D7DE, [TUI_DIM] = 0x7D8797, [TUI_FOCUS] = 0x7FB8F0, [TUI_SELECT] = 0xFFFFFF,
          [TUI_TITLE] = 0xF0F2F5, [TUI_KEY] = 0xE3B968, [TUI_GOOD] = 0x8CCB8A, [TUI_WARN] = 0xE8B55A, [TUI_BAD] = 0xF6838B,
          [TUI_EDITED] = 0xDD93E8, [TUI_DERIVED] = 0x6FCBC4, [TUI_BORDER] = 0x465063, [TUI_BAR] = 0x212733,
          [TUI_SERIES1] = 0x56B4E9, 0xE69F00, 0x35C39A, 0xF0E442, 0xCC79A7, 0xE8743B,
          [TUI_SEQ0] = 0x1D2536, 0x26406A, 0x1A5C86, 0x12808A, 0x2FAE88, 0x5FC07F, 0x62C684, 0x9AD568, 0xD6E06C, 0xFAF3A6,
          [TUI_DIV0] = 0x9AD0FF, 0x62ACF0, 0x3D86CF, 0x2C629F, 0x264264, 0x20242D, 0x4F3C26, 0x845A24, 0xBA7C24, 0xE39E3A,
          0xFFC878 },
        { [TUI_TEXT] = -1, [TUI_DIM] = 8, [TUI_FOCUS] = 14, [TUI_SELECT] = 15, [TUI_TITLE] = 15, [TUI_KEY] = 11,
          [TUI_GOOD] = 10, [TUI_WARN] = 11, [TUI_BAD] = 9, [TUI_EDITED] = 13, [TUI_DERIVED] = 6, [TUI_BORDER] = 8,
          [TUI_BAR] = -1, [TUI_SERIES1] = 14, 11, 10, 15, 13, 9, [TUI_SEQ0] = 4, 4, 12, 12, 6, 6, 14, 14, 15, 15,
          [TUI_DIV0] = 14, 14, 12, 12, 4, 8, 1, 3, 3, 11, 11 },
    },
    [TUI_LIGHT] = {
        "light", 0xFAFAF7, 0xD6E4F5,
        { [TUI_TEXT] = 0x22262C, [TUI_DIM] = 0x6A7280, [TUI_FOCUS] = 0x1F63B0, [TUI_SELECT] = 0x000000,
          [TUI_TITLE] = 0x0C0E11, [TUI_KEY] = 0x8A5500, [TUI_GOOD] = 0x1A6E2F, [TUI_WARN] = 0x7E5300, [TUI_BAD] = 0xB4232C,
          [TUI_EDITED] = 0x8B2FA0, [TUI_DERIVED] = 0x096863, [TUI_BORDER] = 0xB5BCC7, [TUI_BAR] = 0xE9ECEF,
          [TUI_SERIES1] = 0x0072B2, 0xA86400, 0x007A58, 0x7A6C00, 0xA8487F, 0xB84700,
          [TUI_SEQ0] = 0xEEF1F4, 0xD9E6EA, 0xB9D8D9, 0x93C6C8, 0x6DB0B8, 0x4C96A8, 0x367B97, 0x2A5F82, 0x234468, 0x1A2A4A,
          [TUI_DIV0] = 0x1C559C, 0x3F7FC4, 0x74A6DC, 0xA8C8EA, 0xD3E2F2, 0xF4F4F1, 0xF5E1CB, 0xECC193, 0xDD9A55, 0xBF7326,
          0x8F4F0C },
        { [TUI_TEXT] = -1, [TUI_DIM] = 8, [TUI_FOCUS] = 4, [TUI_SELECT] = 0, [TUI_TITLE] = 0, [TUI_KEY] = 1,
          [TUI_GOOD] = 2, [TUI_WARN] = 3, [TUI_BAD] = 1, [TUI_EDITED] = 5, [TUI_DERIVED] = 6, [TUI_BORDER] = 8,
          [TUI_BAR] = -1, [TUI_SERIES1] = 4, 3, 2, 8, 5, 1, [TUI_SEQ0] = 7, 7, 6, 6, 12, 12, 4, 4, 0, 0,
          [TUI_DIV0] = 4, 4, 12, 12, 6, 7, 3, 3, 1, 1, 1 },
    },
    [TUI_CONTRAST] = {
        "contrast", 0x000000, 0x003078,
        { [TUI_TEXT] = 0xFFFFFF, [TUI_DIM] = 0xC0C0C0, [TUI_FOCUS] = 0x00FFFF, [TUI_SELECT] = 0xFFFFFF,
          [TUI_TITLE] = 0xFFFFFF, [TUI_KEY] = 0xFFFF00, [TUI_GOOD] = 0x60FF60, [TUI_WARN] = 0xFFD000, [TUI_BAD] = 0xFF8080,
          [TUI_EDITED] = 0xFF80FF, [TUI_DERIVED] = 0x60FFFF, [TUI_BORDER] = 0xFFFFFF, [TUI_BAR] = 0x202020,
          [TUI_SERIES1] = 0x70C8FF, 0xFFB000, 0x40F0B0, 0xFFFF40, 0xFF90D0, 0xFF8040,
          [TUI_SEQ0] = 0x1C1C1C, 0x303030, 0x4E4E4E, 0x6C6C6C, 0x8A8A8A, 0xA8A8A8, 0xC0C0C0, 0xD7D7D7, 0xEAEAEA, 0xFFFFFF,
          [TUI_DIV0] = 0x80E8FF, 0x48B8E8, 0x2088C0, 0x185F8C, 0x103A58, 0x101010, 0x443400, 0x745800, 0xAC8000, 0xDCAC00,
          0xFFE648 },
        { [TUI_TEXT] = 15, [TUI_DIM] = 7, [TUI_FOCUS] = 14, [TUI_SELECT] = 15, [TUI_TITLE] = 15, [TUI_KEY] = 11,
          [TUI_GOOD] = 10, [TUI_WARN] = 11, [TUI_BAD] = 9, [TUI_EDITED] = 13, [TUI_DERIVED] = 14, [TUI_BORDER] = 15,
          [TUI_BAR] = -1, [TUI_SERIES1] = 14, 11, 10, 15, 13, 9, [TUI_SEQ0] = 8, 8, 8, 7, 7, 7, 7, 15, 15, 15,
          [TUI_DIV0] = 14, 14, 14, 6, 6, 8, 3, 3, 11, 11, 11 },
    },
    [TUI_MONO] = { .name = "mono" },
};

static const char *const role_names[] = {
    "text", "dim", "focus", "select", "title", "key", "good", "warn", "bad", "edited", "derived", "border", "bar",
    "series1", "series2", "series3", "series4", "series5", "series6",
    "seq0", "seq1", "seq2", "seq3", "seq4", "seq5", "seq6", "seq7", "seq8", "seq9",
    "div-5", "div-4", "div-3", "div-2", "div-1", "div0", "div1", "div2", "div3", "div4", "div5",
};
_Static_assert(sizeof role_names / sizeof *role_names == TUI_ROLE_COUNT, "a name for every role");

const char *tui_scheme_name(enum tui_scheme s) { return schemes[s].name; }
const char *tui_role_name(enum tui_role role) { return role_names[role]; }

int tui_scheme_by_name(const char *name) {
    for (int i = 0; i < TUI_SCHEME_COUNT; i++)
        if (!strcasecmp(name, schemes[i].name)) return i;
    return -1;
}

uint32_t tui_theme_rgb(enum tui_scheme s, enum tui_role role) { return schemes[s].rgb[role]; }

/* ---- colour arithmetic */

static int red(uint32_t c) { return c >> 16 & 0xFF; }
static int green(uint32_t c) { return c >> 8 & 0xFF; }
static int blue(uint32_t c) { return c & 0xFF; }

static double linear(int v) {
    double x = v / 255.0;
    return x <= 0.03928 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

double tui_luminance(uint32_t c) {
    return 0.2126 * linear(red(c)) + 0.7152 * linear(green(c)) + 0.0722 * linear(blue(c));
}

uint32_t tui_256_to_rgb(int i) {
    static const int level[6] = { 0, 95, 135, 175, 215, 255 };
    if (i >= 232) return (uint32_t)((i - 232) * 10 + 8) * 0x010101u;
    i -= 16;
    return (uint32_t)(level[i / 36] << 16 | level[i / 6 % 6] << 8 | level[i % 6]);
}

/* Nearest by squared distance, green counting double as the eye does. The first 16 are the user's own: not used. */
int tui_rgb_to_256(uint32_t c) {
    int best = 16, least = 1 << 30;
    for (int i = 16; i < 256; i++) {
        uint32_t p = tui_256_to_rgb(i);
        int dr = red(c) - red(p), dg = green(c) - green(p), db = blue(c) - blue(p);
        int d = 2 * dr * dr + 4 * dg * dg + 3 * db * db;
        if (d < least) least = d, best = i;
    }
    return best;
}

static uint32_t blend(uint32_t a, uint32_t b, int percent_b) {
    int r = (red(a) * (100 - percent_b) + red(b) * percent_b) / 100;
    int g = (green(a) * (100 - percent_b) + green(b) * percent_b) / 100;
    int bl = (blue(a) * (100 - percent_b) + blue(b) * percent_b) / 100;
    return (uint32_t)(r << 16 | g << 8 | bl);
}

/* ---- from role to ink */

static struct tui_ink mono_ink(uint8_t role, uint16_t attr) {
    struct tui_ink ink = { -1, -1, attr & (TUI_BOLD | TUI_UNDERLINE | TUI_REVERSE) };
    switch (role) {
    case TUI_DIM: case TUI_BORDER: ink.attr |= TUI_FAINT; break;
    case TUI_FOCUS: case TUI_TITLE: case TUI_KEY: case TUI_BAD: case TUI_WARN: ink.attr |= TUI_BOLD; break;
    case TUI_SELECT: ink.attr ^= TUI_REVERSE; break;
    case TUI_EDITED: ink.attr |= TUI_UNDERLINE; break;
    default: break;
    }
    if (attr & TUI_SELECTED) ink.attr = (ink.attr | TUI_REVERSE) & ~(unsigned)TUI_FAINT;
    return ink;
}

static struct tui_ink ansi_ink(const struct scheme *s, uint8_t role, uint16_t attr) {
    struct tui_ink ink = { s->ansi[role], -1, attr & (TUI_BOLD | TUI_UNDERLINE | TUI_REVERSE) };
    if (attr & TUI_SELECTED || role == TUI_SELECT) ink.attr ^= TUI_REVERSE;
    if (role == TUI_TITLE || role == TUI_FOCUS) ink.attr |= TUI_BOLD;
    return ink;
}

struct tui_ink tui_theme_ink(enum tui_scheme scheme, enum tui_depth depth, uint8_t role, uint16_t attr) {
    const struct scheme *s = &schemes[scheme];
    if (scheme == TUI_MONO) return mono_ink(role, attr);
    if (depth == TUI_16) return ansi_ink(s, role, attr);
    uint32_t fg = s->rgb[role], bg = s->back;
    if (attr & TUI_FILL) {
        bg = fg;
        fg = tui_luminance(bg) > 0.22 ? 0x000000 : 0xFFFFFF;
        if (attr & TUI_FAINT) fg = blend(bg, fg, 45);
    } else if (role == TUI_BAR) {
        bg = fg;
        fg = s->rgb[TUI_TEXT];
    }
    if (attr & TUI_SELECTED || role == TUI_SELECT) bg = s->select_back;
    struct tui_ink ink = { (int32_t)fg, (int32_t)bg, attr & (TUI_BOLD | TUI_UNDERLINE | TUI_REVERSE) };
    if (depth == TUI_256) {
        ink.fg = tui_rgb_to_256(fg);
        ink.bg = tui_rgb_to_256(bg);
    }
    return ink;
}
