/* kernels.h - what the kernel tests share: the tiers of this machine, random data, aligned buffers. */
#ifndef TEST_KERNELS_H
#define TEST_KERNELS_H

#include <float.h>

#include "engine/kernels/kern.h"
#include "engine/quant/unpack.h"
#include "tests/test.h"

/* Every tier this machine has, ref first. */
#define EACH_TIER(tier) \
    for (enum cut_tier tier = CUT_TIER_REF; tier < CUT_TIER_COUNT; tier++) \
        if (cut_tier_available(tier))

static inline uint32_t float_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static inline float bits_float(uint32_t u) {
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* In [-1, 1). */
static inline float random_float(uint64_t *rng) { return cut_rng_float(rng) * 2 - 1; }
static inline int random_int(uint64_t *rng, int n) { return (int)(cut_rng_next(rng) % (uint64_t)n); }

/* Aligned as kernels expect, and ending where the data ends, so that the address sanitizer sees a byte too much. */
static inline void *buffer(size_t bytes) {
    void *p = NULL;
    if (posix_memalign(&p, CUT_ALIGN, bytes ? bytes : 1)) abort();
    memset(p, 0, bytes);
    return p;
}

#endif
