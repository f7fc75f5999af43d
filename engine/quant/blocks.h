/* blocks.h - quantized weights as they lie in the file. Internal.
 *
 * A row of weights is a run of blocks, each decoded on its own. d is a float16 scale; integers are little-endian. The
 * layouts are those of GGUF (ggml); the size assertions are what keeps ours from drifting.
 */
#ifndef CUT_BLOCKS_H
#define CUT_BLOCKS_H

#include "engine/base/base.h"

/* w[i] = d * (nibble i - 8). Byte j of qs holds element j in its low nibble and element j + 16 in its high nibble. */
struct cut_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct cut_q4_0) == 18, "q4_0: 32 elements in 18 bytes");

/* w[i] = d * q[i]. */
struct cut_q8_0 {
    uint16_t d;
    int8_t qs[32];
};
_Static_assert(sizeof(struct cut_q8_0) == 34, "q8_0: 32 elements in 34 bytes");

/* w[i] = d * scales[i / 16] * (q[i] - 32), q of 6 bits: the lower four in ql, the upper two in qh.
 * The block is two halves of 128 elements, each with 64 bytes of ql and 32 of qh. In a half, element i = 32 g + l
 * (g = 0..3) has
 *
 *   g    lower 4 bits in          upper 2 bits in
 *   0    ql[l]      bits 0-3      qh[l] bits 0-1
 *   1    ql[l + 32] bits 0-3      qh[l] bits 2-3
 *   2    ql[l]      bits 4-7      qh[l] bits 4-5
 *   3    ql[l + 32] bits 4-7      qh[l] bits 6-7
 */
struct cut_q6_K {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};
_Static_assert(sizeof(struct cut_q6_K) == 210, "q6_K: 256 elements in 210 bytes");

#endif
