/* glyph.c - two sets of characters. */
#include "tui/screen/glyph.h"

#include <math.h>

static const struct { char ascii; uint32_t unicode; } set[TUI_G_COUNT] = {
    [TUI_G_H] = { '-', 0x2500 }, [TUI_G_V] = { '|', 0x2502 }, [TUI_G_TL] = { '+', 0x256D }, [TUI_G_TR] = { '+', 0x256E },
    [TUI_G_BL] = { '+', 0x2570 }, [TUI_G_BR] = { '+', 0x256F },
    [TUI_G_FH] = { '=', 0x2501 }, [TUI_G_FV] = { '|', 0x2503 }, [TUI_G_FTL] = { '+', 0x250F },
    [TUI_G_FTR] = { '+', 0x2513 }, [TUI_G_FBL] = { '+', 0x2517 }, [TUI_G_FBR] = { '+', 0x251B },
    [TUI_G_CURSOR] = { '>', 0x25B6 }, [TUI_G_HERE] = { '@', 0x25C6 }, [TUI_G_BREAK] = { '*', 0x25CF },
    [TUI_G_FOLDED] = { '>', 0x25B8 }, [TUI_G_OPEN] = { 'v', 0x25BE }, [TUI_G_DOWN] = { 'v', 0x25BC },
    [TUI_G_THUMB] = { '#', 0x2588 }, [TUI_G_TRACK] = { '|', 0x2502 }, [TUI_G_DOT] = { '.', 0xB7 },
    [TUI_G_RULE] = { '-', 0x2500 },
    [TUI_G_SEP] = { '|', 0x2502 },
};

uint32_t tui_glyph(const struct tui_grid *g, enum tui_glyph id) {
    return g->ascii ? (uint32_t)set[id].ascii : set[id].unicode;
}

uint32_t tui_ramp(const struct tui_grid *g, int level) {
    static const char ascii[] = " .:-=+*#%@";
    static const uint32_t unicode[] = { ' ', 0xB7, 0x2591, 0x2591, 0x2592, 0x2592, 0x2593, 0x2593, 0x2588, 0x2588 };
    level = level < 0 ? 0 : level > 9 ? 9 : level;
    return g->ascii ? (uint32_t)ascii[level] : unicode[level];
}

/* The Unicode level keeps ASCII's characters here: shades cannot carry a sign. */
uint32_t tui_signed_ramp(const struct tui_grid *g, int level) {
    (void)g;
    level = level < -5 ? -5 : level > 5 ? 5 : level;
    return (uint32_t)"@Oo;, .:+*#"[level + 5];
}

void tui_bar(struct tui_area a, int x, int y, int w, tui_style st, double part) {
    if (!(part > 0) || w <= 0) return;
    if (part > 1) part = 1;
    if (a.g->ascii) {
        int n = (int)lround(part * w);
        for (int i = 0; i < n; i++) tui_put(a, x + i, y, st, '#');
        return;
    }
    int eighths = (int)lround(part * w * 8);
    for (int i = 0; i < eighths / 8; i++) tui_put(a, x + i, y, st, 0x2588);
    if (eighths % 8) tui_put(a, x + eighths / 8, y, st, 0x2590u - (uint32_t)(eighths % 8));
}

uint32_t tui_eighth(const struct tui_grid *g, double part) {
    if (!(part > 0)) return ' ';
    if (g->ascii) return tui_ramp(g, 1 + (int)(part * 8.999));
    int n = (int)ceil(part * 8);
    return 0x2580u + (uint32_t)(n > 8 ? 8 : n);
}
