/* select.c - which tiers of kernels this processor can run, and filling the table for one of them.
 *
 * This file is compiled for the oldest processor we support: it runs before anyone knows which one it is. A vector
 * instruction needs two permissions: the processor must know it (CPUID), and the operating system must save the wide
 * registers when it switches tasks, which it says in XCR0 (Intel SDM volume 1, sections 13.3 and 14.3).
 */
#include <strings.h>

#include "engine/kernels/kern.h"

/* Built with CUT_REF_ONLY, no processor has vectors. */
#if defined(__x86_64__) && !defined(CUT_REF_ONLY)
#define ON_X86
#elif defined(__aarch64__) && !defined(CUT_REF_ONLY)
#define ON_ARM
#endif

#ifdef ON_X86
#include <cpuid.h>

enum { HAS_AVX2 = 1, HAS_AVX512 = 2, HAS_AVX512_VNNI = 4, HAS_AVX512_BF16 = 8 };

static uint64_t xcr0(void) {
    uint32_t lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static unsigned features(void) {
    unsigned a, b, c, d, have = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    bool osxsave = c >> 27 & 1, avx = c >> 28 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
    if (!osxsave || !avx || !fma || !f16c || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;

    uint64_t saved = xcr0();
    bool ymm = (saved & 0x06) == 0x06;             /* bits 1, 2: the lower 16 and the next 16 bytes of 16 registers */
    bool zmm = (saved & 0xE6) == 0xE6;             /* bits 5, 6, 7: masks, upper halves, registers 16 to 31 */
    bool avx2 = b >> 5 & 1;
    bool f = b >> 16 & 1, dq = b >> 17 & 1, bw = b >> 30 & 1, vl = b >> 31 & 1, vnni = c >> 11 & 1;

    if (ymm && avx2) have |= HAS_AVX2;
    if (zmm && avx2 && f && dq && bw && vl) have |= HAS_AVX512;
    if ((have & HAS_AVX512) && vnni) have |= HAS_AVX512_VNNI;
    if ((have & HAS_AVX512) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1) have |= HAS_AVX512_BF16;
    return have;
}
#endif

static const char *const names[CUT_TIER_COUNT] = {
    [CUT_TIER_AUTO] = "auto", [CUT_TIER_REF] = "ref", [CUT_TIER_AVX2] = "avx2",
    [CUT_TIER_AVX512] = "avx512", [CUT_TIER_NEON] = "neon",
};

const char *cut_tier_name(enum cut_tier t) { return names[t]; }

/* What a tier asks of the machine, for the message that refuses it. */
static const char *needs(enum cut_tier t) {
    switch (t) {
    case CUT_TIER_AVX2:   return "an x86-64 processor with AVX2, FMA and F16C";
    case CUT_TIER_AVX512: return "an x86-64 processor with AVX-512 F, BW, DQ and VL";
    case CUT_TIER_NEON:   return "a 64-bit ARM processor";
    default:              return "nothing";
    }
}

bool cut_tier_available(enum cut_tier t) {
    switch (t) {
    case CUT_TIER_AUTO:
    case CUT_TIER_REF:    return true;
#ifdef ON_X86
    case CUT_TIER_AVX2:   return features() & HAS_AVX2;
    case CUT_TIER_AVX512: return features() & HAS_AVX512;
#endif
#ifdef ON_ARM
    case CUT_TIER_NEON:   return true;
#endif
    default:              return false;
    }
}

enum cut_tier cut_tier_best(void) {
    static const enum cut_tier order[] = { CUT_TIER_AVX512, CUT_TIER_AVX2, CUT_TIER_NEON };
    for (size_t i = 0; i < CUT_LEN(order); i++)
        if (cut_tier_available(order[i])) return order[i];
    return CUT_TIER_REF;
}

enum cut_status cut_tier_parse(enum cut_tier *out, const char *name, struct cut_err *err) {
    for (int t = 0; t < CUT_TIER_COUNT; t++) {
        if (strcasecmp(name, names[t])) continue;
        if (!cut_tier_available((enum cut_tier)t))
            return cut_fail(err, CUT_EUSAGE, "kernels \"%s\": not on this machine; they need %s", names[t],
                            needs((enum cut_tier)t));
        *out = (enum cut_tier)t;
        return CUT_OK;
    }
    return cut_fail(err, CUT_EUSAGE, "kernels \"%.40s\": not one of auto, ref, avx2, avx512, neon", name);
}

void cut_kernels_init(struct cut_kernels *k, enum cut_tier tier) {
    if (tier == CUT_TIER_AUTO) tier = cut_tier_best();
    cut_kernels_fill_ref(k);
#ifdef ON_X86
    if (tier == CUT_TIER_AVX2 || tier == CUT_TIER_AVX512) {
        cut_kernels_fill_avx2(k);
        cut_kernels_fill_avx2_panel(k);
    }
    if (tier == CUT_TIER_AVX512) cut_kernels_fill_avx512(k);
    if (tier == CUT_TIER_AVX512 && features() & HAS_AVX512_VNNI) {
        cut_kernels_fill_avx512_vnni(k);
        cut_kernels_fill_avx512_vnni_panel(k);
    }
    if (tier == CUT_TIER_AVX512 && features() & HAS_AVX512_BF16) cut_kernels_fill_avx512_bf16(k);
#endif
#ifdef ON_ARM
    if (tier == CUT_TIER_NEON) cut_kernels_fill_neon(k);
#endif
    k->tier = tier;
}
