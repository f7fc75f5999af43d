/* pattern.c - find, match, gmatch and gsub, with a meter.
 *
 * Lua's own matcher backtracks inside one C call, where no hook fires: ("a*"):rep(20) .. "b" against thirty a's keeps
 * it busy for years. This one accepts the same patterns (Lua 5.4 manual, section 6.4.1) but counts its work, and so
 * ends when the script's instructions do or when it is cancelled. A pattern is first translated into items:
 *
 *   set       one byte out of a set of 256 bits, once or with * + - ?
 *   open, close, position      captures
 *   balance %bxy, frontier %f[set], again %1
 *
 * Matching then walks items and text together; only repetitions and captures call themselves. */
#define _GNU_SOURCE
#include "lua/bind.h"

#include <ctype.h>
#include <string.h>

enum kind { SET, OPEN, CLOSE, POSITION, BALANCE, FRONTIER, AGAIN, FINISH, FINISH_AT_END };

struct item {
    enum kind kind;
    char repeat;                   /* 0, or one of * + - ? */
    unsigned char x, y;            /* BALANCE: the two bytes; AGAIN, OPEN, CLOSE, POSITION: the capture in x */
    uint32_t set[8];
};

#define MAX_CAPTURES 32
#define MAX_DEPTH 200

struct pattern { bool anchored; int n_captures; struct item items[]; };

/* A capture's length is OPEN_YET until its ")" is met, and AT marks a position capture "()". */
enum { OPEN_YET = -1, AT = -2 };
struct capture { const char *at; ptrdiff_t len; };

struct matcher {
    lua_State *L;
    const struct pattern *p;
    const char *text, *end;
    int n, depth;                  /* captures begun; nesting of match_here */
    unsigned work;
    struct capture capture[MAX_CAPTURES];
};

/* ---- translation */

static bool in_class(int c, int class) {
    bool yes;
    switch (tolower(class)) {
    case 'a': yes = isalpha(c); break;
    case 'c': yes = iscntrl(c); break;
    case 'd': yes = isdigit(c); break;
    case 'g': yes = isgraph(c); break;
    case 'l': yes = islower(c); break;
    case 'p': yes = ispunct(c); break;
    case 's': yes = isspace(c); break;
    case 'u': yes = isupper(c); break;
    case 'w': yes = isalnum(c); break;
    case 'x': yes = isxdigit(c); break;
    default: return c == class;
    }
    return isupper(class) ? !yes : yes;
}

static void add(uint32_t set[8], int c) { set[c >> 5] |= (uint32_t)1 << (c & 31); }
static bool has(const uint32_t set[8], unsigned char c) { return set[c >> 5] >> (c & 31) & 1; }

static void add_class(uint32_t set[8], int class) {
    for (int c = 0; c < 256; c++)
        if (in_class(c, class)) add(set, c);
}

/* A set in brackets; p stands behind the "[". Returns the place behind the "]". A "]" that comes first is a member. */
static const char *read_brackets(lua_State *L, const char *p, const char *end, uint32_t set[8]) {
    bool negate = p < end && *p == '^';
    if (negate) p++;
    for (const char *first = p; p >= end || *p != ']' || p == first;) {
        if (p >= end) luaL_error(L, "malformed pattern (missing ']')");
        if (*p == '%') {
            if (++p >= end) luaL_error(L, "malformed pattern (missing ']')");
            add_class(set, (unsigned char)*p++);
        } else if (p + 2 < end && p[1] == '-' && p[2] != ']') {
            for (int c = (unsigned char)p[0]; c <= (unsigned char)p[2]; c++) add(set, c);
            p += 3;
        } else {
            add(set, (unsigned char)*p++);
        }
    }
    for (int i = 0; negate && i < 8; i++) set[i] = ~set[i];
    return p + 1;
}

static const char *read_escape(lua_State *L, const char *p, const char *end, struct item *it, int n_captures,
                               const bool *open) {
    if (p >= end) luaL_error(L, "malformed pattern (ends with '%%')");
    char c = *p++;
    if (c == 'b') {
        if (end - p < 2) luaL_error(L, "malformed pattern (missing arguments to '%%b')");
        it->kind = BALANCE;
        it->x = (unsigned char)p[0];
        it->y = (unsigned char)p[1];
        return p + 2;
    }
    if (c == 'f') {
        if (p >= end || *p != '[') luaL_error(L, "missing '[' after '%%f' in pattern");
        it->kind = FRONTIER;
        return read_brackets(L, p + 1, end, it->set);
    }
    if (isdigit((unsigned char)c)) {
        int i = c - '1';
        if (i < 0 || i >= n_captures || open[i]) luaL_error(L, "invalid capture index %%%d in pattern", i + 1);
        it->kind = AGAIN;
        it->x = (unsigned char)i;
        return p;
    }
    add_class(it->set, (unsigned char)c);
    return p;
}

/* Push the translated pattern as a userdata. */
static struct pattern *translate(lua_State *L, const char *p, size_t len, bool may_anchor) {
    const char *end = p + len;
    struct pattern *out = lua_newuserdatauv(L, sizeof *out + (len + 1) * sizeof(struct item), 0);
    memset(out, 0, sizeof *out + (len + 1) * sizeof(struct item));
    struct item *it = out->items;
    bool open[MAX_CAPTURES] = { false };
    out->anchored = may_anchor && p < end && *p == '^';
    if (out->anchored) p++;
    for (; p < end; it++) {
        char c = *p++;
        it->kind = SET;
        if (c == '(') {
            if (out->n_captures == MAX_CAPTURES) luaL_error(L, "too many captures");
            it->x = (unsigned char)out->n_captures++;
            it->kind = OPEN;
            if (p < end && *p == ')') it->kind = POSITION, p++;
            else open[it->x] = true;
            continue;
        }
        if (c == ')') {
            int i = out->n_captures - 1;
            while (i >= 0 && !open[i]) i--;
            if (i < 0) luaL_error(L, "invalid pattern capture");
            open[i] = false;
            it->kind = CLOSE;
            it->x = (unsigned char)i;
            continue;
        }
        if (c == '$' && p == end) {
            it->kind = FINISH_AT_END;
            break;
        }
        if (c == '%') p = read_escape(L, p, end, it, out->n_captures, open);
        else if (c == '[') p = read_brackets(L, p, end, it->set);
        else if (c == '.') memset(it->set, 0xff, sizeof it->set);
        else add(it->set, (unsigned char)c);
        if (it->kind == SET && p < end && strchr("*+-?", *p) && *p) it->repeat = *p++;
    }
    for (int i = 0; i < out->n_captures; i++)
        if (open[i]) luaL_error(L, "unfinished capture");
    if (it->kind != FINISH_AT_END) it->kind = FINISH;
    return out;
}

/* ---- matching */

static void work(struct matcher *m, size_t n) {
    m->work += (unsigned)n;
    if (m->work < 4096) return;
    m->work = 0;
    cut_lua_charge(m->L, 4096);
}

static const char *match_here(struct matcher *m, const struct item *it, const char *s);

static const char *match_balance(struct matcher *m, const struct item *it, const char *s) {
    if (s >= m->end || (unsigned char)*s != it->x) return NULL;
    for (int depth = 1; ++s < m->end; work(m, 1)) {
        if ((unsigned char)*s == it->y) {
            if (--depth == 0) return s + 1;
        } else if ((unsigned char)*s == it->x) {
            depth++;
        }
    }
    return NULL;
}

static const char *match_again(const struct matcher *m, const struct item *it, const char *s) {
    const struct capture *c = &m->capture[it->x];
    if (c->len < 0 || m->end - s < c->len || memcmp(c->at, s, (size_t)c->len)) return NULL;
    return s + c->len;
}

/* As many as possible, then one less each time. */
static const char *match_most(struct matcher *m, const struct item *it, const char *s, ptrdiff_t least, ptrdiff_t most) {
    ptrdiff_t n = 0;
    while (n < most && s + n < m->end && has(it->set, (unsigned char)s[n])) n++;
    work(m, (size_t)n + 1);
    for (; n >= least; n--) {
        const char *r = match_here(m, it + 1, s + n);
        if (r) return r;
    }
    return NULL;
}

static const char *match_least(struct matcher *m, const struct item *it, const char *s) {
    for (;; s++) {
        const char *r = match_here(m, it + 1, s);
        if (r) return r;
        if (s >= m->end || !has(it->set, (unsigned char)*s)) return NULL;
    }
}

static const char *match_capture(struct matcher *m, const struct item *it, const char *s) {
    struct capture *c = &m->capture[it->x], before = *c;
    int n = m->n;
    if (it->kind == CLOSE) {
        c->len = s - c->at;
    } else {
        *c = (struct capture){ s, it->kind == OPEN ? OPEN_YET : AT };
        m->n = it->x + 1;
    }
    const char *r = match_here(m, it + 1, s);
    if (!r) *c = before, m->n = n;
    return r;
}

static const char *match_steps(struct matcher *m, const struct item *it, const char *s) {
    for (;; it++) {
        work(m, 1);
        switch (it->kind) {
        case FINISH: return s;
        case FINISH_AT_END: return s == m->end ? s : NULL;
        case OPEN: case CLOSE: case POSITION: return match_capture(m, it, s);
        case BALANCE:
            if (!(s = match_balance(m, it, s))) return NULL;
            break;
        case AGAIN:
            if (!(s = match_again(m, it, s))) return NULL;
            break;
        case FRONTIER: {           /* the text's both ends count as the byte 0 */
            unsigned char before = s == m->text ? 0 : (unsigned char)s[-1];
            unsigned char here = s == m->end ? 0 : (unsigned char)*s;
            if (has(it->set, before) || !has(it->set, here)) return NULL;
            break;
        }
        case SET:
            switch (it->repeat) {
            case '*': return match_most(m, it, s, 0, PTRDIFF_MAX);
            case '+': return match_most(m, it, s, 1, PTRDIFF_MAX);
            case '?': return match_most(m, it, s, 0, 1);
            case '-': return match_least(m, it, s);
            }
            if (s >= m->end || !has(it->set, (unsigned char)*s)) return NULL;
            s++;
        }
    }
}

static const char *match_here(struct matcher *m, const struct item *it, const char *s) {
    if (++m->depth > MAX_DEPTH) luaL_error(m->L, "pattern too complex");
    const char *r = match_steps(m, it, s);
    m->depth--;
    return r;
}

static const char *match_at(struct matcher *m, const char *s) {
    m->n = m->depth = 0;
    return match_here(m, m->p->items, s);
}

/* ---- results */

static void push_capture(struct matcher *m, int i, const char *s, const char *e) {
    if (i >= m->n) {
        if (i) luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s));      /* no captures: the whole match */
    } else if (m->capture[i].len == AT) {
        lua_pushinteger(m->L, m->capture[i].at - m->text + 1);
    } else {
        lua_pushlstring(m->L, m->capture[i].at, (size_t)m->capture[i].len);
    }
}

static int push_captures(struct matcher *m, const char *s, const char *e, bool whole_if_none) {
    int n = m->n == 0 && whole_if_none ? 1 : m->n;
    luaL_checkstack(m->L, n, "too many captures");
    for (int i = 0; i < n; i++) push_capture(m, i, s, e);
    return n;
}

/* Where a search starts, from 0: Lua counts from 1, and from the end when negative. */
static size_t start_of(lua_State *L, int arg, size_t len) {
    lua_Integer i = luaL_optinteger(L, arg, 1);
    if (i > 0) return (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)len) return 0;
    return len - (size_t)-i;
}

static bool plain(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (p[i] && strchr("^$*+?.([%-", p[i])) return false;
    return true;
}

static int find_or_match(lua_State *L, bool find) {
    size_t len, plen;
    const char *text = luaL_checklstring(L, 1, &len), *pat = luaL_checklstring(L, 2, &plen);
    size_t from = start_of(L, 3, len);
    if (from > len) return lua_pushnil(L), 1;
    if (find && (lua_toboolean(L, 4) || plain(pat, plen))) {
        cut_lua_charge(L, (len - from) / 16);
        const char *at = plen ? memmem(text + from, len - from, pat, plen) : text + from;
        if (!at) return lua_pushnil(L), 1;
        lua_pushinteger(L, at - text + 1);
        lua_pushinteger(L, at - text + (lua_Integer)plen);
        return 2;
    }
    struct matcher m = { .L = L, .text = text, .end = text + len };
    m.p = translate(L, pat, plen, true);
    for (const char *s = text + from; s <= m.end; s++) {
        const char *e = match_at(&m, s);
        if (e && !find) return push_captures(&m, s, e, true);
        if (e) {
            lua_pushinteger(L, s - text + 1);
            lua_pushinteger(L, e - text);
            return 2 + push_captures(&m, s, e, false);
        }
        if (m.p->anchored) break;
    }
    return lua_pushnil(L), 1;
}

static int str_find(lua_State *L) { return find_or_match(L, true); }
static int str_match(lua_State *L) { return find_or_match(L, false); }

/* Upvalues: the text, the translated pattern, where to go on, where the last match ended (an empty match just there is
 * skipped, so that no place is matched twice). */
static int gmatch_next(lua_State *L) {
    size_t len;
    const char *text = lua_tolstring(L, lua_upvalueindex(1), &len);
    struct matcher m = { .L = L, .text = text, .end = text + len, .p = lua_touserdata(L, lua_upvalueindex(2)) };
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    for (lua_Integer from = lua_tointeger(L, lua_upvalueindex(3)); from <= (lua_Integer)len; from++) {
        const char *e = match_at(&m, text + from);
        if (!e || e - text == last) continue;
        lua_pushinteger(L, e - text);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&m, text + from, e, true);
    }
    lua_pushinteger(L, (lua_Integer)len + 1);
    lua_replace(L, lua_upvalueindex(3));
    return 0;
}

static int str_gmatch(lua_State *L) {
    size_t len, plen;
    luaL_checklstring(L, 1, &len);
    const char *pat = luaL_checklstring(L, 2, &plen);
    size_t from = start_of(L, 3, len);
    lua_settop(L, 2);
    translate(L, pat, plen, false);
    lua_replace(L, 2);
    lua_pushinteger(L, (lua_Integer)(from > len ? len + 1 : from));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* "%0" the match, "%1" a capture, "%%" a percent sign. */
static void add_template(struct matcher *m, luaL_Buffer *b, const char *s, const char *e) {
    size_t len;
    const char *t = lua_tolstring(m->L, 3, &len), *end = t + len;
    for (; t < end; t++) {
        if (*t != '%') {
            luaL_addchar(b, *t);
        } else if (++t < end && *t == '%') {
            luaL_addchar(b, '%');
        } else if (t < end && isdigit((unsigned char)*t)) {
            if (*t == '0') lua_pushlstring(m->L, s, (size_t)(e - s));
            else push_capture(m, *t - '1', s, e);
            luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
    }
}

static void add_replacement(struct matcher *m, luaL_Buffer *b, const char *s, const char *e) {
    lua_State *L = m->L;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION: {
        lua_pushvalue(L, 3);
        int n = push_captures(m, s, e, true);
        lua_call(L, n, 1);
        break;
    }
    case LUA_TTABLE:
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
        break;
    default:
        add_template(m, b, s, e);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
    } else if (lua_isstring(L, -1)) {
        luaL_addvalue(b);
    } else {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
}

static int str_gsub(lua_State *L) {
    size_t len, plen;
    const char *text = luaL_checklstring(L, 1, &len), *pat = luaL_checklstring(L, 2, &plen);
    int kind = lua_type(L, 3);
    luaL_argexpected(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
                     "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)len + 1), done = 0;
    if (kind == LUA_TNUMBER) lua_tostring(L, 3);
    lua_settop(L, 3);
    struct matcher m = { .L = L, .text = text, .end = text + len };
    m.p = translate(L, pat, plen, true);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    const char *s = text, *last = NULL;
    while (done < most) {
        const char *e = match_at(&m, s);
        if (e && e != last) {
            done++;
            add_replacement(&m, &b, s, e);
            s = last = e;
        } else if (s < m.end) {
            luaL_addchar(&b, *s++);
        } else {
            break;
        }
        if (m.p->anchored) break;
    }
    luaL_addlstring(&b, s, (size_t)(m.end - s));
    luaL_pushresult(&b);
    lua_pushinteger(L, done);
    return 2;
}

void cut_lua_open_strings(lua_State *L) {
    static const luaL_Reg fns[] = {
        { "find", str_find }, { "match", str_match }, { "gmatch", str_gmatch }, { "gsub", str_gsub }, { NULL, NULL },
    };
    luaL_setfuncs(L, fns, 0);
}
