/* encode.h - the encoders of single formats, behind cut_encode_rows. Internal.
 *
 * Each writes n floats (a whole number of blocks) to dst. importance: n floats from 0, or NULL. Choosing a grid is search.h's part (or
 * encode_iq.h's); theirs is which weights share one, and where the bits go. */
#ifndef CUT_ENCODE_H
#define CUT_ENCODE_H

#include "engine/quant/blocks.h"

/* Rows of a tensor, and the format that they are to have. */
struct cut_encoding {
    const char *name;              /* for errors: file and tensor */
    enum cut_type from, to;        /* `to` can be encoded; n is a multiple of both block sizes */
    const void *src;
    void *dst;
    size_t rows, n;                /* n elements in a row, n > 0 */
    size_t row0;                   /* which row of the tensor the first of these is, for errors */
    const float *importance;       /* n weights by column, or NULL; see cut_encode_rows */
};
/* Encode them on a pool (NULL: this thread alone); the same bytes for any number of threads. Where the formats are equal,
 * copy. A weight that is not finite is an error that names the element (counted in the whole tensor), its row and its
 * column; dst is then unfinished. */
enum cut_status cut_encode_tensor(const struct cut_encoding *e, struct cut_pool *pool, struct cut_err *err);

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
