/* bytes.h - building GGUF files byte by byte, so that tests can also build what no writer would. */
#ifndef CUT_TEST_BYTES_H
#define CUT_TEST_BYTES_H

#include "tests/test.h"

struct bytes { uint8_t *data; size_t n, cap; bool narrow; };   /* narrow: version 1, with 32-bit lengths and counts */

static inline void put(struct bytes *b, const void *p, size_t n) {
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->data = realloc(b->data, b->cap);
        if (!b->data) abort();
    }
    if (n) memcpy(b->data + b->n, p, n);
    b->n += n;
}
static inline void put_u8(struct bytes *b, uint8_t v) { put(b, &v, 1); }
static inline void put_u32(struct bytes *b, uint32_t v) { put(b, &v, 4); }
static inline void put_u64(struct bytes *b, uint64_t v) { put(b, &v, 8); }
static inline void put_size(struct bytes *b, uint64_t v) { put(b, &v, b->narrow ? 4 : 8); }
static inline void put_strn(struct bytes *b, const char *s, size_t n) { put_size(b, n); put(b, s, n); }
static inline void put_str(struct bytes *b, const char *s) { put_strn(b, s, strlen(s)); }
static inline void put_zeros(struct bytes *b, size_t n) { while (n--) put_u8(b, 0); }
static inline void put_pad(struct bytes *b, size_t alignment) { while (b->n % alignment) put_u8(b, 0); }

static inline void put_head(struct bytes *b, uint32_t version, uint64_t n_tensors, uint64_t n_kv) {
    b->narrow = version == 1;
    put(b, "GGUF", 4);
    put_u32(b, version);
    put_size(b, n_tensors);
    put_size(b, n_kv);
}
static inline void put_key(struct bytes *b, const char *key, uint32_t type) { put_str(b, key); put_u32(b, type); }
static inline void put_array(struct bytes *b, uint32_t elem, uint64_t count) { put_u32(b, elem); put_size(b, count); }
static inline void put_tensor(struct bytes *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                              uint64_t offset) {
    put_str(b, name);
    put_u32(b, n_dims);
    for (uint32_t i = 0; i < n_dims; i++) put_size(b, ne[i]);
    put_u32(b, type);
    put_u64(b, offset);
}

/* Touch everything a cut_gguf offers, so that a sanitizer sees what lies outside. Returns a sum to keep it all alive. */
static inline uint64_t walk(const struct cut_gguf *g) {
    const struct cut_gguf_head *h = cut_gguf_head(g);
    uint64_t sum = h->version + h->alignment + h->data_offset + strlen(h->name), u;
    for (uint64_t i = 0; i < h->n_kv; i++) {
        const struct cut_kv *kv = cut_gguf_kv(g, i);
        if (cut_gguf_find(g, kv->key) != kv) abort();
        sum += strlen(cut_kv_type_name(kv->type)) + strlen(cut_kv_type_name(kv->elem));
        for (uint64_t k = 0; k < kv->bytes; k++) sum += kv->data[k];
        for (uint64_t k = 0; k <= kv->count; k++) {            /* the last one is out of range */
            int64_t s;
            double d;
            bool b;
            const char *text;
            size_t len;
            int got = 0;
            if (cut_kv_u64(kv, k, &u)) sum += u, got++;
            if (cut_kv_i64(kv, k, &s)) sum += (uint64_t)s, got++;
            if (cut_kv_f64(kv, k, &d)) sum += d > 0, got++;
            if (cut_kv_bool(kv, k, &b)) sum += b, got++;
            if (cut_kv_str(kv, k, &text, &len)) {
                for (size_t c = 0; c < len; c++) sum += (uint8_t)text[c];
                got++;
            }
            if (k == kv->count && got) abort();
            if (kv->elem == CUT_KV_ARRAY && k < kv->count) {
                memcpy(&u, kv->data + kv->index[k] + 4, 8);    /* a nested array's count */
                sum += u;
            }
        }
    }
    for (uint64_t i = 0; i < h->n_tensors; i++) {
        const struct cut_tensor_info *t = cut_gguf_tensor(g, i);
        if (cut_gguf_find_tensor(g, t->name) != t) abort();
        const uint8_t *data = t->data;
        if (data) sum += data[0] + data[t->bytes - 1];
    }
    if (cut_gguf_kv(g, h->n_kv) || cut_gguf_tensor(g, h->n_tensors)) abort();
    return sum;
}

/* A sound file with every value type, arrays of three kinds and three tensors. */
static inline void good_file(struct bytes *b, uint32_t version) {
    float f = 0.5f;
    double d = -2.25;
    put_head(b, version, 3, 18);
    put_key(b, "a.u8", CUT_KV_U8);        put_u8(b, 200);
    put_key(b, "a.i8", CUT_KV_I8);        put_u8(b, (uint8_t)-5);
    put_key(b, "a.u16", CUT_KV_U16);      put(b, &(uint16_t){ 60000 }, 2);
    put_key(b, "a.i16", CUT_KV_I16);      put(b, &(int16_t){ -300 }, 2);
    put_key(b, "a.u32", CUT_KV_U32);      put_u32(b, 4000000000u);
    put_key(b, "a.i32", CUT_KV_I32);      put_u32(b, (uint32_t)-70000);
    put_key(b, "a.f32", CUT_KV_F32);      put(b, &f, 4);
    put_key(b, "a.bool", CUT_KV_BOOL);    put_u8(b, 1);
    put_key(b, "a.string", CUT_KV_STRING); put_strn(b, "a\0b", 3);
    put_key(b, "a.u64", CUT_KV_U64);      put_u64(b, UINT64_MAX);
    put_key(b, "a.i64", CUT_KV_I64);      put_u64(b, (uint64_t)INT64_MIN);
    put_key(b, "a.f64", CUT_KV_F64);      put(b, &d, 8);
    put_key(b, "b.ints", CUT_KV_ARRAY);   put_array(b, CUT_KV_I16, 3); put(b, (int16_t[]){ 1, -2, 3 }, 6);
    put_key(b, "b.strings", CUT_KV_ARRAY); put_array(b, CUT_KV_STRING, 3); put_str(b, "one"); put_str(b, ""); put_str(b, "three");
    put_key(b, "b.empty", CUT_KV_ARRAY);  put_array(b, CUT_KV_STRING, 0);
    put_key(b, "b.nested", CUT_KV_ARRAY); put_array(b, CUT_KV_ARRAY, 2);
    put_array(b, CUT_KV_STRING, 2);       put_str(b, "x"); put_str(b, "yz");
    put_array(b, CUT_KV_ARRAY, 1);        put_array(b, CUT_KV_U8, 2); put(b, "\1\2", 2);
    put_key(b, "general.alignment", CUT_KV_U32); put_u32(b, 64);
    put_key(b, "general.architecture", CUT_KV_STRING); put_str(b, "test");
    put_tensor(b, "w.f32", 2, (uint64_t[]){ 3, 5 }, CUT_F32, 64);          /* 60 bytes; not in file order */
    put_tensor(b, "w.q8_0", 1, (uint64_t[]){ 32 }, CUT_Q8_0, 0);           /* 34 bytes */
    put_tensor(b, "w.q4_0", 4, (uint64_t[]){ 64, 1, 2, 1 }, CUT_Q4_0, 128); /* 72 bytes */
    put_pad(b, 64);
    for (int i = 0; i < 200; i++) put_u8(b, (uint8_t)i);
}

#endif
