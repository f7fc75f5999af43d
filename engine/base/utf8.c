/* utf8.c - UTF-8, strictly as RFC 3629 has it: no surrogates, no overlong forms, nothing above U+10FFFF. */
#include <stdio.h>

#include "engine/base/base.h"

/* How many bytes a code point that begins with this byte has, and which second bytes are allowed; 0 for a byte that
 * begins none. The narrowed ranges shut out overlong forms (E0, F0), surrogates (ED) and what lies above U+10FFFF (F4):
 * table 3-7 of the Unicode standard. */
static int lead(uint8_t b, uint8_t *low, uint8_t *high) {
    *low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
    *high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
    return b < 0x80 ? 1 : b < 0xC2 ? 0 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : b < 0xF5 ? 4 : 0;
}

/* How many of the bytes, up to a whole code point, are a beginning of one; *need is the length of the whole. */
static int prefix(const uint8_t *s, size_t len, int *need) {
    uint8_t low, high;
    *need = lead(s[0], &low, &high);
    int n = *need ? 1 : 0;
    while (n < *need && (size_t)n < len && s[n] >= low && s[n] <= high) {
        low = 0x80, high = 0xBF;       /* only the second byte's range is ever narrowed */
        n++;
    }
    return n;
}

int cut_utf8_decode(const char *s, size_t len, uint32_t *cp) {
    const uint8_t *u = (const uint8_t *)s;
    int need;
    if (!len || prefix(u, len, &need) != need || !need) return 0;
    uint32_t c = need == 1 ? u[0] : u[0] & (0x7Fu >> need);
    for (int i = 1; i < need; i++) c = c << 6 | (u[i] & 0x3F);
    *cp = c;
    return need;
}

int cut_utf8_encode(uint32_t cp, char out[4]) {
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) return 0;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    int n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xFF) | cp);        /* n leading ones and a zero */
    return n;
}

size_t cut_utf8_tail(const char *s, size_t len) {
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        const uint8_t *u = (const uint8_t *)s + len - back;
        int need, have = prefix(u, back, &need);
        if (need) return have == (int)back && have < need ? back : 0;
    }
    return 0;
}

/* Would the code point hide, or change how its neighbours are shown? Controls, zero-width and direction marks, line and
 * paragraph separators, the byte order mark. */
static bool invisible(uint32_t c) {
    return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

size_t cut_utf8_escape(char *out, size_t cap, const char *s, size_t len) {
    size_t n = 0, fits = 0;            /* fits: up to where "..." still finds room */
    for (size_t i = 0; i < len;) {
        char piece[16];
        uint32_t c;
        int used = cut_utf8_decode(s + i, len - i, &c), size;
        if (!used) size = snprintf(piece, sizeof piece, "\\x%02x", (unsigned)(uint8_t)s[i]);
        else if (c == '\n') size = snprintf(piece, sizeof piece, "\\n");
        else if (c == '\t') size = snprintf(piece, sizeof piece, "\\t");
        else if (c == '\\') size = snprintf(piece, sizeof piece, "\\\\");
        else if (c < 0x80 && invisible(c)) size = snprintf(piece, sizeof piece, "\\x%02x", (unsigned)c);
        else if (invisible(c)) size = snprintf(piece, sizeof piece, "\\u{%04x}", (unsigned)c);
        else memcpy(piece, s + i, (size_t)(size = used));
        if (n + (size_t)size >= cap) {
            memcpy(out + fits, "...", 4);
            return fits + 3;
        }
        memcpy(out + n, piece, (size_t)size);
        n += (size_t)size;
        if (n + 4 <= cap) fits = n;
        i += used ? (size_t)used : 1;
    }
    out[n] = 0;
    return n;
}
