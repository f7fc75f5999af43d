/* keys.c - names of keys, and looking them up. */
#include "tui/screen/keys.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/cutaway.h"

static const struct { int key; const char *name; } names[] = {
    { ' ', "Space" }, { TUI_KEY_BACKSPACE, "BS" }, { TUI_KEY_ENTER, "Enter" }, { TUI_KEY_ESC, "Esc" },
    { TUI_KEY_TAB, "Tab" }, { TUI_KEY_BACKTAB, "S-Tab" }, { TUI_KEY_UP, "Up" }, { TUI_KEY_DOWN, "Down" },
    { TUI_KEY_LEFT, "Left" }, { TUI_KEY_RIGHT, "Right" }, { TUI_KEY_HOME, "Home" }, { TUI_KEY_END, "End" },
    { TUI_KEY_PAGE_UP, "PgUp" }, { TUI_KEY_PAGE_DOWN, "PgDn" }, { TUI_KEY_DELETE, "Del" }, { TUI_KEY_INSERT, "Ins" },
};

const struct tui_key *tui_key_find(const struct tui_key *table, size_t n, int key) {
    for (size_t i = 0; i < n; i++)
        if (table[i].key == key && table[i].run) return &table[i];
    return NULL;
}

const char *tui_key_name(int key, char *buf) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].key == key) return names[i].name;
    if (key >= TUI_KEY_F1 && key <= TUI_KEY_LAST) snprintf(buf, 12, "F%d", key - TUI_KEY_F1 + 1);
    else if (key >= 0 && key < 32) snprintf(buf, 12, "^%c", key + 64);
    else buf[key >= 0 && key < TUI_KEY_UP ? cut_utf8_encode((uint32_t)key, buf) : 0] = 0;
    return buf;
}

int tui_key_by_name(const char *name) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(names[i].name, name)) return names[i].key;
    int f;
    char end;
    if (sscanf(name, "F%d%c", &f, &end) == 1 && f >= 1 && f <= 12) return TUI_KEY_F1 + f - 1;
    if ((name[0] == '^' && name[1] && !name[2]) || (!strncmp(name, "C-", 2) && name[2] && !name[3]))
        return TUI_CTRL(name[strlen(name) - 1]);
    uint32_t cp;
    int n = cut_utf8_decode(name, strlen(name), &cp);
    return n > 0 && !name[n] ? (int)cp : -1;
}

const char *tui_key_group(const struct tui_key *table, size_t n, size_t i, char *buf) {
    size_t len = 0;
    for (size_t k = i; k < n && (k == i || !table[k].label); k++) {
        char one[12];
        const char *name = tui_key_name(table[k].key, one);
        if (len + strlen(name) + 2 > 48) break;
        len += (size_t)snprintf(buf + len, 48 - len, "%s%s", k == i ? "" : "/", name);
    }
    return buf;
}

int tui_key_move(int key) {
    switch (key) {
    case 'h': return TUI_KEY_LEFT;
    case 'j': return TUI_KEY_DOWN;
    case 'k': return TUI_KEY_UP;
    case 'l': return TUI_KEY_RIGHT;
    case 'g': return TUI_KEY_HOME;
    case 'G': return TUI_KEY_END;
    case TUI_CTRL('f'): return TUI_KEY_PAGE_DOWN;
    case TUI_CTRL('b'): return TUI_KEY_PAGE_UP;
    default: return key;
    }
}
