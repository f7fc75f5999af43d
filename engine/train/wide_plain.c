/* wide_plain.c - the training kernels for any processor: four floats at a time, as the compiler sees fit. Also chooses. */
#include "engine/train/wide.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#define WIDTH 4
#define ROWS 4
#define FMA(a, b, c) ((a) * (b) + (c))
#define NAME "plain"
#define FUNCTION cut_wide_plain
#include "engine/train/wide.inc"

const struct cut_wide *cut_wide_named(const char *name) {
#if defined(__x86_64__)
    if (!strcmp(name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bf16") ? cut_wide_avx512() : NULL;
    if (!strcmp(name, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? cut_wide_avx2() : NULL;
#endif
    return strcmp(name, "plain") ? NULL : cut_wide_plain();
}

const struct cut_wide *cut_wide_best(void) {
    static const char *const order[] = { "avx512", "avx2", "plain" };
    const struct cut_wide *w = NULL;
    for (size_t i = 0; i < CUT_LEN(order) && !w; i++) w = cut_wide_named(order[i]);
    return w;
}
