/* wide_avx2.c - the training kernels at eight floats, with fused multiply-add. */
#include "engine/train/wide.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define WIDTH 8
#define ROWS 6
#define FMA(a, b, c) ((V)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define NAME "avx2"
#define FUNCTION cut_wide_avx2
#include "engine/train/wide.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
const struct cut_wide *cut_wide_avx2(void) { return NULL; }
#endif
