/* encode.h - the encoders of single formats, behind cut_encode_rows. Internal.
 *
 * Each writes n floats (a whole number of blocks) to dst. importance: n floats from 0, or NULL. Choosing a grid is search.h's part (or
 * encode_iq.h's); theirs is which weights share one, and where the bits go. */
#ifndef CUT_ENCODE_H
#define CUT_ENCODE_H

#include "engine/quant/blocks.h"

typedef void (*cut_encoder)(void *dst, const float *x, size_t n, const float *importance);

/* encode_legacy.c */
void cut_encode_q4_0(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q4_1(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q5_0(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q5_1(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q8_0(void *dst, const float *x, size_t n, const float *importance);

/* encode_k.c */
void cut_encode_q2_K(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q3_K(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q4_K(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q5_K(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q6_K(void *dst, const float *x, size_t n, const float *importance);

/* encode_few.c, encode_fp4.c */
void cut_encode_tq1_0(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_tq2_0(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q1_0(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_q2_0(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_mxfp4(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_nvfp4(void *dst, const float *x, size_t n, const float *importance);

/* encode_iq*.c */
void cut_encode_iq1_s(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq1_m(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq2_xxs(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq2_xs(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq2_s(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq3_xxs(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq3_s(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq4_nl(void *dst, const float *x, size_t n, const float *importance);
void cut_encode_iq4_xs(void *dst, const float *x, size_t n, const float *importance);

#endif
