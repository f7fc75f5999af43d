/* peaks_x86.c - the busiest loops there are on x86-64. See peaks.h. */
#ifdef __x86_64__
#include <cpuid.h>

#include "engine/kernels/peaks.h"

#define SIX(OP) OP(0) OP(1) OP(2) OP(3) OP(4) OP(5)
#define TWELVE(OP) SIX(OP) OP(6) OP(7) OP(8) OP(9) OP(10) OP(11)
#define ALL_REGISTERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
                      "xmm13", "xmm14", "xmm15"
/* A function that runs `body` n times, every vector register being zero at first. */
#define LOOP(name, body)                                                                                      \
    static void name(uint64_t n) {                                                                            \
        __asm__ volatile("vzeroall\n\t"                                                                       \
                         ".p2align 5\n1:\n\t" body "dec %0\n\tjnz 1b\n\t"                                     \
                         "vzeroupper" : "+r"(n) : : ALL_REGISTERS, "cc");                                     \
    }

/* Scalar code of an old processor: what the reference kernels come to. Multiply and add are two instructions. */
#define MUL_ADD_SS(i) "movaps %%xmm14, %%xmm15\n\tmulss %%xmm13, %%xmm15\n\taddss %%xmm15, %%xmm" #i "\n\t"
static void scalar(uint64_t n) {
    __asm__ volatile("xorps %%xmm13, %%xmm13\n\txorps %%xmm14, %%xmm14\n\t"
                     ".p2align 5\n1:\n\t" TWELVE(MUL_ADD_SS) "dec %0\n\tjnz 1b" : "+r"(n) : : ALL_REGISTERS, "cc");
}

#define FMA_YMM(i) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define FMA_ZMM(i) "vfmadd231ps %%zmm14, %%zmm15, %%zmm" #i "\n\t"
LOOP(fma_ymm, TWELVE(FMA_YMM))
LOOP(fma_zmm, TWELVE(FMA_ZMM))

/* Bytes by AVX2: u8 x i8 products in pairs to 16 bits, those in pairs to 32, then the sum. Three instructions for 32 products (64). */
#define MADDUBS_YMM(i) "vpmaddubsw %%ymm15, %%ymm14, %%ymm12\n\tvpmaddwd %%ymm12, %%ymm13, %%ymm12\n\tvpaddd %%ymm12, %%ymm" #i ", %%ymm" #i "\n\t"
#define MADDUBS_ZMM(i) "vpmaddubsw %%zmm15, %%zmm14, %%zmm12\n\tvpmaddwd %%zmm12, %%zmm13, %%zmm12\n\tvpaddd %%zmm12, %%zmm" #i ", %%zmm" #i "\n\t"
LOOP(maddubs_ymm, TWELVE(MADDUBS_YMM))
LOOP(maddubs_zmm, TWELVE(MADDUBS_ZMM))

/* The same in one instruction (VNNI): four products of bytes added to each 32-bit sum. */
#define DPBUSD_YMM(i) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #i "\n\t"
#define DPBUSD_ZMM(i) "vpdpbusd %%zmm14, %%zmm15, %%zmm" #i "\n\t"
LOOP(dpbusd_ymm, TWELVE(DPBUSD_YMM))
LOOP(dpbusd_zmm, TWELVE(DPBUSD_ZMM))

/* Two products of bfloat16 added to each float. */
#define DPBF16_ZMM(i) "vdpbf16ps %%zmm14, %%zmm15, %%zmm" #i "\n\t"
LOOP(dpbf16_zmm, TWELVE(DPBF16_ZMM))

enum { VNNI = 1, AVX_VNNI = 2, BF16 = 4 };
/* Beyond what a tier promises. Whether the system saves the registers is the tiers' question (select.c). */
static unsigned extras(void) {
    unsigned a, b, c, d, have = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && c >> 11 & 1) have |= VNNI;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) have |= (a >> 4 & 1 ? AVX_VNNI : 0) | (a >> 5 & 1 ? BF16 : 0);
    return have;
}

int cut_peak_loops(struct cut_peak_loop *out, int max) {
    static const struct { struct cut_peak_loop loop; unsigned extra; } all[] = {
        { { CUT_PEAK_F32, CUT_TIER_REF, "mulss, addss", 12 * 2, scalar }, 0 },
        { { CUT_PEAK_F32, CUT_TIER_AVX2, "vfmadd231ps ymm", 12 * 8 * 2, fma_ymm }, 0 },
        { { CUT_PEAK_INT8, CUT_TIER_AVX2, "vpmaddubsw ymm, vpmaddwd, vpaddd", 12 * 32 * 2, maddubs_ymm }, 0 },
        { { CUT_PEAK_INT8, CUT_TIER_AVX2, "vpdpbusd ymm", 12 * 32 * 2, dpbusd_ymm }, AVX_VNNI },
        { { CUT_PEAK_F32, CUT_TIER_AVX512, "vfmadd231ps zmm", 12 * 16 * 2, fma_zmm }, 0 },
        { { CUT_PEAK_INT8, CUT_TIER_AVX512, "vpmaddubsw zmm, vpmaddwd, vpaddd", 12 * 64 * 2, maddubs_zmm }, 0 },
        { { CUT_PEAK_INT8, CUT_TIER_AVX512, "vpdpbusd zmm", 12 * 64 * 2, dpbusd_zmm }, VNNI },
        { { CUT_PEAK_BF16, CUT_TIER_AVX512, "vdpbf16ps zmm", 12 * 32 * 2, dpbf16_zmm }, BF16 },
    };
    unsigned have = extras();
    int n = 0;
    for (size_t i = 0; i < CUT_LEN(all); i++)
        if (n < max && cut_tier_available(all[i].loop.tier) && (all[i].extra & ~have) == 0) out[n++] = all[i].loop;
    return n;
}

/* Eight loads of 64 bytes a round. Wider loads than 16 bytes do not read memory faster, so every x86-64 has the same loop. */
#define LOAD(i) "movaps " #i "*16(%0), %%xmm0\n\tmovaps " #i "*16+128(%0), %%xmm1\n\t" \
                "movaps " #i "*16+256(%0), %%xmm2\n\tmovaps " #i "*16+384(%0), %%xmm3\n\t"
void cut_peak_read(const void *block, size_t bytes) {
    uint64_t rounds = bytes / 512;
    if (!rounds) return;
    __asm__ volatile(".p2align 5\n1:\n\t" SIX(LOAD) LOAD(6) LOAD(7) "add $512, %0\n\tdec %1\n\tjnz 1b"
                     : "+r"(block), "+r"(rounds) : : "xmm0", "xmm1", "xmm2", "xmm3", "cc", "memory");
}
#endif
