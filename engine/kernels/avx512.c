/* avx512.c - 16 floats at a time, with AVX-512 F, BW, DQ and VL: x86-64 processors since 2017 (Skylake-X, Zen 4).
 *
 * Everything that is sums of floats. Products of quantized weights stay with AVX2 unless the processor has the byte
 * products of VNNI (avx512_vnni.c): without them, wider vectors have little to give.
 */
#include <immintrin.h>

#include "engine/kernels/kern.h"

#define W 16
#define DOT_T 6
#define ATTN_M 8
#define ATTN_V 4
#define INLINE static inline __attribute__((always_inline))
typedef __m512 vf;

INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
INLINE vf v_set(float f) { return _mm512_set1_ps(f); }
INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
INLINE vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vf v_round(vf v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vf v_scale2(vf v, vf n) { return _mm512_scalef_ps(v, n); }

INLINE __mmask16 first(int n) { return (__mmask16)((1u << n) - 1); }
INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vf v_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
INLINE void v_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
INLINE void v_store_n(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }

INLINE vf from_bf16(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
INLINE vf v_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }
INLINE vf v_load_f16_n(const uint16_t *p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p)); }
INLINE vf v_load_bf16(const uint16_t *p) { return from_bf16(_mm256_loadu_si256((const void *)p)); }
INLINE vf v_load_bf16_n(const uint16_t *p, int n) { return from_bf16(_mm256_maskz_loadu_epi16(first(n), p)); }
INLINE __m256i to_halves(vf v) { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE void v_store_f16(uint16_t *p, vf v) { _mm256_storeu_si256((void *)p, to_halves(v)); }
INLINE void v_store_f16_n(uint16_t *p, vf v, int n) { _mm256_mask_storeu_epi16(p, first(n), to_halves(v)); }

INLINE float v_sum(vf v) { return _mm512_reduce_add_ps(v); }
INLINE float v_top(vf v) { return _mm512_reduce_max_ps(v); }

INLINE void v_sum4(const vf v[4], float *out, int n) {
    vf ab = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));     /* a b a b, four times */
    vf cd = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    vf s = _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));    /* a b c d, four times */
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    _mm_mask_storeu_ps(out, (__mmask8)first(n), sum);
}

INLINE vf v_rotate(vf x, vf cs) {
    vf swapped = _mm512_permute_ps(x, 0xB1);
    return _mm512_fmaddsub_ps(x, _mm512_moveldup_ps(cs), _mm512_mul_ps(swapped, _mm512_movehdup_ps(cs)));
}

#define v_now(v) ((void)(v))

#include "engine/kernels/lanes.h"

void cut_kernels_fill_avx512(struct cut_kernels *k) { fill_float_kernels(k, "avx512"); }
