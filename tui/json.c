/* json.c - a recursive descent over the text. Every node is malloc'd on its own: files are small and read once. */
#include "tui/json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tui/screen/mem.h"

enum { MOST_DEEP = 32 };

struct reader { const char *name, *start, *at, *end; struct cut_err *err; };

static enum cut_status wrong(const struct reader *r, const char *what) {
    int line = 1;
    for (const char *p = r->start; p < r->at; p++) line += *p == '\n';
    return cut_fail(r->err, CUT_EFILE, "%s: line %d: %s", r->name, line, what);
}

static void skip_blanks(struct reader *r) {
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at) r->at++;
}

static bool take(struct reader *r, char c) {
    skip_blanks(r);
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

void tui_json_free(struct tui_json *j) {
    while (j) {
        struct tui_json *next = (struct tui_json *)j->next;
        tui_json_free((struct tui_json *)j->first);
        free((char *)j->key);
        free((char *)j->text);
        free(j);
        j = next;
    }
}

const struct tui_json *tui_json_get(const struct tui_json *j, const char *key) {
    if (!j || j->kind != TUI_JSON_OBJECT) return NULL;
    for (const struct tui_json *m = j->first; m; m = m->next)
        if (!strcmp(m->key, key)) return m;
    return NULL;
}

/* ---- strings */

static size_t put_utf8(char *to, unsigned cp) {
    if (cp < 0x80) return to[0] = (char)cp, 1;
    if (cp < 0x800) return to[0] = (char)(0xC0 | cp >> 6), to[1] = (char)(0x80 | (cp & 63)), 2;
    if (cp < 0x10000)
        return to[0] = (char)(0xE0 | cp >> 12), to[1] = (char)(0x80 | (cp >> 6 & 63)), to[2] = (char)(0x80 | (cp & 63)), 3;
    to[0] = (char)(0xF0 | cp >> 18), to[1] = (char)(0x80 | (cp >> 12 & 63));
    return to[2] = (char)(0x80 | (cp >> 6 & 63)), to[3] = (char)(0x80 | (cp & 63)), 4;
}

static bool hex4(struct reader *r, unsigned *out) {
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end || !isxdigit((unsigned char)*r->at)) return false;
        char c = *r->at;
        *out = *out * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return true;
}

/* Behind the 'u'. A character beyond the first 65536 comes as two halves; half of one alone becomes U+FFFD. */
static bool escaped(struct reader *r, unsigned *cp) {
    unsigned low;
    if (!hex4(r, cp)) return false;
    if (*cp >= 0xD800 && *cp < 0xDC00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        if (!hex4(r, &low)) return false;
        *cp = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((*cp - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
    }
    if ((*cp >= 0xD800 && *cp < 0xE000) || !*cp) *cp = 0xFFFD;
    return true;
}

static enum cut_status string(struct reader *r, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *e = r->at;
    while (e < r->end && *e != '"') e += *e == '\\' ? 2 : 1;
    if (e >= r->end) return wrong(r, "a string is not closed");
    char *s = tui_alloc((size_t)(e - r->at) + 1, 1), *p = s;           /* never longer than its text */
    while (*r->at != '"') {
        unsigned char c = (unsigned char)*r->at++;
        unsigned cp;
        if (c < 0x20) return free(s), wrong(r, "a control character in a string");
        if (c != '\\') { *p++ = (char)c; continue; }
        c = (unsigned char)*r->at++;
        if (c == 'u' && escaped(r, &cp)) p += put_utf8(p, cp);
        else if (c && c != 'u' && (e = strchr(from, c))) *p++ = to[e - from];
        else return free(s), wrong(r, "an escape that JSON does not have");
    }
    r->at++;
    *out = s;
    return CUT_OK;
}

/* ---- values */

static enum cut_status number(struct reader *r, double *out) {
    char text[64];
    size_t n = 0;
    while (r->at < r->end && n < sizeof text - 1 && (isdigit((unsigned char)*r->at) || strchr("+-.eE", *r->at))) text[n++] = *r->at++;
    text[n] = 0;
    char *end;
    *out = strtod(text, &end);
    return !n || *end || !isfinite(*out) ? wrong(r, "not a number") : CUT_OK;
}

static bool word(struct reader *r, const char *w) {
    size_t n = strlen(w);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, w, n)) return false;
    r->at += n;
    return true;
}

static enum cut_status value(struct reader *r, struct tui_json *j, int deep);

static enum cut_status members(struct reader *r, struct tui_json *j, char close, int deep) {
    const struct tui_json **last = &j->first;
    if (take(r, close)) return CUT_OK;
    do {
        struct tui_json *m = tui_alloc(1, sizeof *m);
        enum cut_status st = CUT_OK;
        *last = m;
        last = &m->next;
        if (close == '}') {
            char *key = NULL;
            if (!take(r, '"')) return wrong(r, "a name in quotes is missing");
            st = string(r, &key);
            m->key = key;
            if (!st && !take(r, ':')) st = wrong(r, "a colon is missing");
        }
        if (!st) st = value(r, m, deep + 1);
        if (st) return st;
    } while (take(r, ','));
    return take(r, close) ? CUT_OK : wrong(r, close == '}' ? "an object is not closed" : "an array is not closed");
}

static enum cut_status value(struct reader *r, struct tui_json *j, int deep) {
    char *text = NULL;
    enum cut_status st = CUT_OK;
    skip_blanks(r);
    if (deep > MOST_DEEP) return wrong(r, "nested too deep");
    if (r->at == r->end) return wrong(r, "the text ends where a value should be");
    if (take(r, '{')) return j->kind = TUI_JSON_OBJECT, members(r, j, '}', deep);
    if (take(r, '[')) return j->kind = TUI_JSON_ARRAY, members(r, j, ']', deep);
    if (take(r, '"')) {
        st = string(r, &text);
        j->kind = TUI_JSON_STRING;
        j->text = text;
        return st;
    }
    if (word(r, "null")) return CUT_OK;
    j->kind = TUI_JSON_BOOL;
    if (word(r, "true")) return j->number = 1, CUT_OK;
    if (word(r, "false")) return CUT_OK;
    j->kind = TUI_JSON_NUMBER;
    return number(r, &j->number);
}

enum cut_status tui_json_parse(struct tui_json **out, const char *name, const char *text, size_t len, struct cut_err *err) {
    struct reader r = { name, text, text, text + len, err };
    struct tui_json *root = tui_alloc(1, sizeof *root);
    enum cut_status st = value(&r, root, 0);
    skip_blanks(&r);
    if (!st && r.at < r.end) st = wrong(&r, "something follows the value");
    if (st) tui_json_free(root);
    else *out = root;
    return st;
}
