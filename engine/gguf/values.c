/* values.c - reading metadata values as numbers, truths and strings, whatever width the file gave them. */
#include "engine/gguf/gguf.h"

static const struct { const char *name; uint8_t size; } types[CUT_KV_COUNT] = {
    [CUT_KV_U8] = { "u8", 1 },   [CUT_KV_I8] = { "i8", 1 },   [CUT_KV_U16] = { "u16", 2 }, [CUT_KV_I16] = { "i16", 2 },
    [CUT_KV_U32] = { "u32", 4 }, [CUT_KV_I32] = { "i32", 4 }, [CUT_KV_F32] = { "f32", 4 }, [CUT_KV_BOOL] = { "bool", 1 },
    [CUT_KV_STRING] = { "string", 0 },                        [CUT_KV_ARRAY] = { "array", 0 },
    [CUT_KV_U64] = { "u64", 8 }, [CUT_KV_I64] = { "i64", 8 }, [CUT_KV_F64] = { "f64", 8 },
};

const char *cut_kv_type_name(enum cut_kv_type type) {
    return (unsigned)type < CUT_KV_COUNT ? types[type].name : "unknown";
}

size_t cut_kv_type_size(enum cut_kv_type type) { return (unsigned)type < CUT_KV_COUNT ? types[type].size : 0; }

/* An integer as sign and magnitude, which holds both u64 and i64. */
static bool integer(const struct cut_kv *kv, uint64_t i, bool *negative, uint64_t *magnitude) {
    if (i >= kv->count) return false;
    const uint8_t *p = kv->data + i * cut_kv_type_size(kv->elem);
    int64_t s = 0;
    uint64_t u = 0;
    int8_t i8; int16_t i16; int32_t i32; uint16_t u16;
    switch (kv->elem) {
    case CUT_KV_U8:  u = *p; break;
    case CUT_KV_U16: memcpy(&u16, p, 2); u = u16; break;
    case CUT_KV_U32: u = cut_load_u32(p); break;
    case CUT_KV_U64: u = cut_load_u64(p); break;
    case CUT_KV_I8:  memcpy(&i8, p, 1); s = i8; break;
    case CUT_KV_I16: memcpy(&i16, p, 2); s = i16; break;
    case CUT_KV_I32: memcpy(&i32, p, 4); s = i32; break;
    case CUT_KV_I64: memcpy(&s, p, 8); break;
    default: return false;
    }
    *negative = s < 0;
    *magnitude = s < 0 ? 0 - (uint64_t)s : s > 0 ? (uint64_t)s : u;
    return true;
}

bool cut_kv_u64(const struct cut_kv *kv, uint64_t i, uint64_t *out) {
    bool negative;
    uint64_t u;
    if (!integer(kv, i, &negative, &u) || negative) return false;
    *out = u;
    return true;
}

bool cut_kv_i64(const struct cut_kv *kv, uint64_t i, int64_t *out) {
    bool negative;
    uint64_t u;
    if (!integer(kv, i, &negative, &u) || u > (uint64_t)INT64_MAX + negative) return false;
    *out = negative ? -(int64_t)(u - 1) - 1 : (int64_t)u;
    return true;
}

bool cut_kv_f64(const struct cut_kv *kv, uint64_t i, double *out) {
    bool negative;
    uint64_t u;
    float f;
    if (i >= kv->count) return false;
    if (kv->elem == CUT_KV_F32) {
        memcpy(&f, kv->data + i * 4, 4);
        *out = f;
    } else if (kv->elem == CUT_KV_F64) {
        memcpy(out, kv->data + i * 8, 8);
    } else if (integer(kv, i, &negative, &u)) {
        *out = negative ? -(double)u : (double)u;
    } else {
        return false;
    }
    return true;
}

bool cut_kv_bool(const struct cut_kv *kv, uint64_t i, bool *out) {
    if (kv->elem != CUT_KV_BOOL || i >= kv->count) return false;
    *out = kv->data[i] != 0;
    return true;
}

bool cut_kv_str(const struct cut_kv *kv, uint64_t i, const char **out, size_t *len) {
    if (kv->elem != CUT_KV_STRING || i >= kv->count) return false;
    const uint8_t *p = kv->data + kv->index[i];
    *len = (size_t)cut_load_u64(p);
    *out = (const char *)p + 8;
    return true;
}
