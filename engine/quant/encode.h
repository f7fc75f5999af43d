/* encode.h - the encoders of single formats, behind cut_encode. Internal. */
#ifndef CUT_ENCODE_H
#define CUT_ENCODE_H

#include "engine/quant/blocks.h"

/* One row of n floats (a whole number of blocks) to dst. importance: n floats from 0, or NULL. */
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
