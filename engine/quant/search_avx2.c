/* search_avx2.c - the searches with eight lanes in one register. */
#include "engine/quant/search.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#define WIDTH 8
#define MIN(a, b) ((V)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define MAX(a, b) ((V)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define NAME "avx2"
#define FUNCTION cut_search_avx2
#include "engine/quant/search.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
const struct cut_search *cut_search_avx2(void) { return NULL; }
#endif
