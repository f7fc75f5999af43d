/* inspect.c - `cutaway inspect`: what stands in a GGUF file, as columns to read or as JSON. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tui/cli/cli.h"

static const char help[] =
    "usage: cutaway inspect FILE.gguf [--json] [--no-mmap]\n"
    "Print the header, the metadata and the tensors of a GGUF file.\n"
    "\n"
    "  --json      as JSON, with strings and arrays complete\n"
    "  --no-mmap   read the file instead of mapping it\n";

typedef unsigned long long ull;

/* A line being put together, cut off where the screen ends. */
struct line { char text[1024]; size_t n, max; };

__attribute__((format(printf, 2, 3)))
static void add(struct line *l, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, ap);
    va_end(ap);
    l->n += (size_t)n < sizeof l->text - l->n ? (size_t)n : sizeof l->text - l->n - 1;
}

/* Columns of text: the terminal's width, from 80; 120 in a pipe or a file. */
static size_t width(void) {
    struct winsize w;
    if (!isatty(STDOUT_FILENO)) return 120;
    size_t n = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) ? w.ws_col : 80;
    return n < 80 ? 80 : n > 300 ? 300 : n;
}

static size_t max(size_t a, size_t b) { return a > b ? a : b; }

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t v, char out[32]) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (ull)v);
    char *p = out;
    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0) *p++ = ',';
        *p++ = digits[i];
    }
    *p = 0;
    return out;
}

/* ---- values */

/* The fewest digits that give the same float back, as a double: 1e-06 and not 9.999999974752427e-07. */
static double shortest(float f) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)f);
        if (strtof(text, NULL) == f) return strtod(text, NULL);
    }
    return f;
}

static double number(const struct cut_kv *kv, uint64_t i) {
    double v = 0;
    cut_kv_f64(kv, i, &v);
    return kv->elem == CUT_KV_F32 ? shortest((float)v) : v;
}

/* An array within an array: a u32 type and a u64 count stand before its elements. */
static void nested(const struct cut_kv *kv, uint64_t i, const char **type, uint64_t *count) {
    uint32_t elem;
    memcpy(&elem, kv->data + kv->index[i], sizeof elem);
    memcpy(count, kv->data + kv->index[i] + 4, sizeof *count);
    *type = cut_kv_type_name(elem);
}

static void add_value(struct line *l, const struct cut_kv *kv, uint64_t i) {
    uint64_t u;
    int64_t s;
    bool b;
    const char *text;
    size_t len, room = l->max > l->n ? l->max - l->n : 0;
    if (cut_kv_str(kv, i, &text, &len)) {
        char safe[512];
        bool quotes = kv->type == CUT_KV_ARRAY;         /* to tell one element from the next */
        room = max(room < sizeof safe ? room + 1 : sizeof safe, 16);
        cut_utf8_escape(safe, room - (quotes ? 2 : 0), text, len);
        add(l, quotes ? "\"%s\"" : "%s", safe);
    } else if (kv->elem == CUT_KV_ARRAY) {
        nested(kv, i, &text, &u);
        add(l, "%s[%llu]", text, (ull)u);
    } else if (cut_kv_bool(kv, i, &b)) {
        add(l, "%s", b ? "true" : "false");
    } else if (cut_kv_i64(kv, i, &s)) {
        add(l, "%lld", (long long)s);
    } else if (cut_kv_u64(kv, i, &u)) {
        add(l, "%llu", (ull)u);
    } else {
        double v = number(kv, i);
        for (int digits = 6; digits <= 17; digits++) {
            char out[40];
            snprintf(out, sizeof out, "%.*g", digits, v);
            if (digits == 17 || isnan(v) || strtod(out, NULL) == v) {
                add(l, "%s", out);
                break;
            }
        }
    }
}

/* As many elements as the line holds; at least one, if there is one. */
static void add_elements(struct line *l, const struct cut_kv *kv) {
    for (uint64_t i = 0; i < kv->count; i++) {
        struct line longer = *l;
        if (i) add(&longer, ", ");
        if (i) longer.max = sizeof longer.text;         /* a string that is not the first is whole, or it waits */
        add_value(&longer, kv, i);
        size_t ellipsis = i + 1 < kv->count ? 5 : 0;
        if (i && longer.n + ellipsis > l->max) {
            add(l, ", ...");
            return;
        }
        longer.max = l->max;
        *l = longer;
    }
}

static void type_of(const struct cut_kv *kv, char out[48]) {
    if (kv->type == CUT_KV_ARRAY) snprintf(out, 48, "%s[%llu]", cut_kv_type_name(kv->elem), (ull)kv->count);
    else snprintf(out, 48, "%s", cut_kv_type_name(kv->type));
}

/* ---- text */

static void print_metadata(const struct cut_gguf *g, size_t columns) {
    uint64_t n = cut_gguf_head(g)->n_kv;
    char type[48], key[256];
    size_t key_w = 0, type_w = 0;
    for (uint64_t i = 0; i < n; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        type_of(kv, type);
        type_w = max(type_w, strlen(type));
        size_t len = cut_utf8_escape(key, sizeof key, kv->key, strlen(kv->key));
        if (len <= 44) key_w = max(key_w, len);         /* a longer one pushes its own line only */
    }
    printf("\nMetadata: %llu %s\n", (ull)n, n == 1 ? "entry" : "entries");
    for (uint64_t i = 0; i < n; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        struct line l = { .max = columns };
        type_of(kv, type);
        cut_utf8_escape(key, sizeof key, kv->key, strlen(kv->key));
        add(&l, "  %-*s  %-*s  ", (int)key_w, key, (int)type_w, type);
        add_elements(&l, kv);
        puts(l.text);
    }
}

struct total { uint64_t tensors, elements, bytes; };

static void count(struct total *t, const struct cut_tensor_info *x) {
    t->tensors++;
    t->elements += x->ne[0] * x->ne[1] * x->ne[2] * x->ne[3];
    t->bytes += x->bytes;
}

static void shape_of(const struct cut_tensor_info *t, char out[128]) {
    int n = 0;
    for (int d = 0; d < t->n_dims; d++)
        n += snprintf(out + n, (size_t)(128 - n), "%s%llu", d ? " x " : "", (ull)t->ne[d]);
}

/* The name comes last, so that a long one moves nothing. */
static void print_tensors(const struct cut_gguf *g) {
    uint64_t n = cut_gguf_head(g)->n_tensors;
    struct total all = { 0 }, by_type[CUT_TYPE_COUNT] = { 0 };
    char shape[128], name[1024], a[32], b[32], c[32];
    size_t shape_w = 5, offset_w = 6, bytes_w = 5, index_w = 1, type_w = 4;
    for (uint64_t i = 0; i < n; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        shape_of(t, shape);
        shape_w = max(shape_w, strlen(shape));
        type_w = max(type_w, strlen(cut_type_info(t->type)->name));
        offset_w = max(offset_w, strlen(grouped(t->offset, a)));
        bytes_w = max(bytes_w, strlen(grouped(t->bytes, b)));
        index_w = max(index_w, strlen(grouped(i, c)));
        count(&all, t);
        count(&by_type[t->type], t);
    }
    printf("\nTensors: %llu\n", (ull)n);
    if (!n) return;
    printf("  %*s  %-*s  %-*s  %*s  %*s  name\n", (int)index_w, "#", (int)type_w, "type", (int)shape_w, "shape",
           (int)offset_w, "offset", (int)bytes_w, "bytes");
    for (uint64_t i = 0; i < n; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        shape_of(t, shape);
        cut_utf8_escape(name, sizeof name, t->name, strlen(t->name));
        printf("  %*s  %-*s  %-*s  %*s  %*s  %s\n", (int)index_w, grouped(i, a), (int)type_w, cut_type_info(t->type)->name,
               (int)shape_w, shape, (int)offset_w, grouped(t->offset, b), (int)bytes_w, grouped(t->bytes, c), name);
    }
    printf("\nTotal\n");
    for (int type = 0; type < CUT_TYPE_COUNT; type++) {
        const struct total *t = &by_type[type];
        if (!t->tensors) continue;
        printf("  %-*s  %llu tensor%s, %s weights in %s bytes\n", (int)type_w, cut_type_info((uint32_t)type)->name,
               (ull)t->tensors, t->tensors == 1 ? "" : "s", grouped(t->elements, a), grouped(t->bytes, b));
    }
    printf("  %-*s  %llu tensor%s, %s weights in %s bytes: %.2f bits a weight\n", (int)type_w, "all", (ull)all.tensors,
           all.tensors == 1 ? "" : "s", grouped(all.elements, a), grouped(all.bytes, b),
           8.0 * (double)all.bytes / (double)all.elements);
}

static void print_text(const struct cut_gguf *g) {
    const struct cut_gguf_head *h = cut_gguf_head(g);
    char name[256], a[32], b[32];
    cut_utf8_escape(name, sizeof name, h->name, strlen(h->name));
    printf("%s: GGUF version %u, %s bytes, %s\n", name, h->version, grouped(h->file_bytes, a), h->mapped ? "mapped" : "read");
    printf("tensor data from byte %s, aligned to %llu\n", grouped(h->data_offset, b), (ull)h->alignment);
    print_metadata(g, width());
    print_tensors(g);
}

/* ---- JSON */

static void json_value(struct cut_json *j, const char *key, const struct cut_kv *kv, uint64_t i) {
    uint64_t u;
    int64_t s;
    bool b;
    const char *text;
    size_t len;
    if (cut_kv_str(kv, i, &text, &len)) {
        cut_json_str(j, key, text, len);
    } else if (kv->elem == CUT_KV_ARRAY) {
        nested(kv, i, &text, &u);
        cut_json_open(j, key, '{');
        cut_json_str(j, "elem", text, strlen(text));
        cut_json_uint(j, "count", u);
        cut_json_close(j, '}');
    } else if (cut_kv_bool(kv, i, &b)) {
        cut_json_bool(j, key, b);
    } else if (cut_kv_i64(kv, i, &s)) {
        cut_json_int(j, key, s);
    } else if (cut_kv_u64(kv, i, &u)) {
        cut_json_uint(j, key, u);
    } else {
        cut_json_num(j, key, number(kv, i));
    }
}

static void json_str(struct cut_json *j, const char *key, const char *s) { cut_json_str(j, key, s, strlen(s)); }

static void json_kv(struct cut_json *j, const struct cut_kv *kv) {
    cut_json_open(j, NULL, '{');
    json_str(j, "key", kv->key);
    json_str(j, "type", cut_kv_type_name(kv->type));
    if (kv->type != CUT_KV_ARRAY) {
        json_value(j, "value", kv, 0);
    } else {
        json_str(j, "elem", cut_kv_type_name(kv->elem));
        cut_json_uint(j, "count", kv->count);
        cut_json_open(j, "value", '[');
        j->inline_ = true;
        for (uint64_t i = 0; i < kv->count; i++) json_value(j, NULL, kv, i);
        cut_json_close(j, ']');
        j->inline_ = false;
    }
    cut_json_close(j, '}');
}

static void json_tensor(struct cut_json *j, const struct cut_tensor_info *t) {
    cut_json_open(j, NULL, '{');
    json_str(j, "name", t->name);
    json_str(j, "type", cut_type_info(t->type)->name);
    cut_json_open(j, "shape", '[');
    j->inline_ = true;
    for (int d = 0; d < t->n_dims; d++) cut_json_uint(j, NULL, t->ne[d]);
    cut_json_close(j, ']');
    j->inline_ = false;
    cut_json_uint(j, "offset", t->offset);
    cut_json_uint(j, "bytes", t->bytes);
    cut_json_close(j, '}');
}

static void print_json(const struct cut_gguf *g) {
    const struct cut_gguf_head *h = cut_gguf_head(g);
    struct total all = { 0 };
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    json_str(&j, "file", h->name);
    cut_json_uint(&j, "version", h->version);
    cut_json_uint(&j, "bytes", h->file_bytes);
    cut_json_uint(&j, "alignment", h->alignment);
    cut_json_uint(&j, "data_offset", h->data_offset);
    cut_json_bool(&j, "mapped", h->mapped);
    cut_json_open(&j, "metadata", '[');
    for (uint64_t i = 0; i < h->n_kv; i++) json_kv(&j, cut_gguf_kv(g, i));
    cut_json_close(&j, ']');
    cut_json_open(&j, "tensors", '[');
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        json_tensor(&j, cut_gguf_tensor(g, i));
        count(&all, cut_gguf_tensor(g, i));
    }
    cut_json_close(&j, ']');
    cut_json_open(&j, "total", '{');
    cut_json_uint(&j, "tensors", all.tensors);
    cut_json_uint(&j, "weights", all.elements);
    cut_json_uint(&j, "bytes", all.bytes);
    cut_json_close(&j, '}');
    cut_json_close(&j, '}');
}

int cli_inspect(int argc, char **argv) {
    const char *path = NULL;
    bool json = false, options = true;
    unsigned flags = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (options && (!strcmp(a, "--help") || !strcmp(a, "-h"))) {
            fputs(help, stdout);
            return cli_flush_stdout();
        }
        if (options && !strcmp(a, "--")) options = false;
        else if (options && !strcmp(a, "--json")) json = true;
        else if (options && !strcmp(a, "--no-mmap")) flags |= CUT_GGUF_NO_MMAP;
        else if (options && a[0] == '-' && a[1]) return cli_usage("inspect", "unknown option %s", a);
        else if (path) return cli_usage("inspect", "one file at a time, not also %s", a);
        else path = a;
    }
    if (!path) return cli_usage("inspect", "no file");

    struct cut_gguf *g;
    struct cut_err err;
    if (cut_gguf_open(&g, path, flags, &err)) return cli_error(&err);
    if (json) print_json(g);
    else print_text(g);
    cut_gguf_close(g);
    return cli_flush_stdout();
}
