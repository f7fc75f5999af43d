/* search_plain.c - the searches for any processor: four lanes at a time, as the compiler sees fit. Also chooses. */
#include "engine/quant/search.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif
#define WIDTH 4
#define MIN(a, b) pick((a) < (b), a, b)
#define MAX(a, b) pick((a) > (b), a, b)
#define NAME "plain"
#define FUNCTION cut_search_plain
#include "engine/quant/search.inc"

uint16_t cut_f16_finite(float f) { return cut_f32_to_f16(f > 65504 ? 65504 : f < -65504 ? -65504 : f); }

const struct cut_search *cut_search_named(const char *name) {
#if defined(__x86_64__)
    if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2") ? cut_search_avx2() : NULL;
#endif
    return strcmp(name, "plain") ? NULL : cut_search_plain();
}

const struct cut_search *cut_search_best(void) {
    const struct cut_search *s = cut_search_named("avx2");
    return s ? s : cut_search_plain();
}
