/* peaks_arm.c - the busiest loops there are on 64-bit ARM. See peaks.h. */
#ifdef __aarch64__
#include <sys/auxv.h>

#include "engine/kernels/peaks.h"

#define EIGHT(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5) OP(6) OP(7)
#define SIXTEEN(OP) EIGHT(OP) OP(8) OP(9) OP(10) OP(11) OP(12) OP(13) OP(14) OP(15)
#define ALL_REGISTERS "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", \
                      "v16", "v17", "v30", "v31"
#define ZERO(i) "movi v" #i ".4s, #0\n\t"
/* A function that runs `body` n times, every register it uses being zero at first. */
#define LOOP(name, body)                                                                           \
    static void name(uint64_t n) {                                                                            \
        __asm__ volatile(SIXTEEN(ZERO) ZERO(30) ZERO(31)                                            \
                         ".p2align 5\n1:\n\t" body "subs %0, %0, #1\n\tb.ne 1b"                               \
                         : "+r"(n) : : ALL_REGISTERS, "cc");                                                  \
    }

#define FMLA(i) "fmla v" #i ".4s, v30.4s, v31.4s\n\t"
LOOP(fmla, SIXTEEN(FMLA))

/* Bytes without the dot product: 16-bit products of both halves, added in pairs to 32 bits. Four instructions for 16 products. */
#define SMULL(i) "smull v16.8h, v30.8b, v31.8b\n\tsmull2 v17.8h, v30.16b, v31.16b\n\t" \
                 "sadalp v" #i ".4s, v16.8h\n\tsadalp v" #i ".4s, v17.8h\n\t"
LOOP(smull, SIXTEEN(SMULL))

/* Four products of bytes, or two of bfloat16, added to each 32-bit sum. As numbers, because assemblers refuse the names unless
 * the whole file may use them: sdot vI.4s, v30.16b, v31.16b and bfdot vI.4s, v30.8h, v31.8h (Arm ARM, C7.2). */
#define SDOT(i) ".inst 0x4e9f97c0 + " #i "\n\t"
#define BFDOT(i) ".inst 0x6e5fffc0 + " #i "\n\t"
LOOP(sdot, SIXTEEN(SDOT))
LOOP(bfdot, SIXTEEN(BFDOT))

/* Linux's names for these bits are not in every libc: ASIMDDP of AT_HWCAP, BF16 of AT_HWCAP2. */
static bool has_dot(void) { return getauxval(AT_HWCAP) >> 20 & 1; }
static bool has_bf16(void) { return getauxval(AT_HWCAP2) >> 14 & 1; }

int cut_peak_loops(struct cut_peak_loop *out, int max) {
    const struct { struct cut_peak_loop loop; bool there; } all[] = {
        { { CUT_PEAK_F32, CUT_TIER_NEON, "fmla", 16 * 4 * 2, fmla }, true },
        { { CUT_PEAK_INT8, CUT_TIER_NEON, "smull, sadalp", 16 * 16 * 2, smull }, true },
        { { CUT_PEAK_INT8, CUT_TIER_NEON, "sdot", 16 * 16 * 2, sdot }, has_dot() },
        { { CUT_PEAK_BF16, CUT_TIER_NEON, "bfdot", 16 * 8 * 2, bfdot }, has_bf16() },
    };
    int n = 0;
    for (size_t i = 0; i < CUT_LEN(all); i++)
        if (n < max && cut_tier_available(all[i].loop.tier) && all[i].there) out[n++] = all[i].loop;
    return n;
}

/* Sixteen pairs of 16 bytes a round. */
#define LOAD(i) "ldp q0, q1, [%0, #" #i "*32]\n\t"
void cut_peak_read(const void *block, size_t bytes) {
    uint64_t rounds = bytes / 512;
    if (!rounds) return;
    __asm__ volatile(".p2align 5\n1:\n\t" SIXTEEN(LOAD) "add %0, %0, #512\n\tsubs %1, %1, #1\n\tb.ne 1b"
                     : "+r"(block), "+r"(rounds) : : "v0", "v1", "cc", "memory");
}
#endif
