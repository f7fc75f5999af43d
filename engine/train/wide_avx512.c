/* wide_avx512.c - the training kernels at sixteen floats; products of bfloat16 pairs where asked for. */
#include "engine/train/wide.h"

#if defined(__x86_64__)
#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,prefer-vector-width=512")
#endif
#define WIDTH 16
#define ROWS 8
#define FMA(a, b, c) ((V)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define DOT2(a, b, c) ((V)_mm512_dpbf16_ps((__m512)(c), (__m512bh)(a), (__m512bh)(b)))
#define NAME "avx512"
#define FUNCTION cut_wide_avx512
#include "engine/train/wide.inc"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
const struct cut_wide *cut_wide_avx512(void) { return NULL; }
#endif
