/* types.c - the number formats of GGUF tensors: how many elements a block holds, in how many bytes.
 *
 * Ids, names and sizes are those of ggml. The gaps are formats that were given an id and later withdrawn. */
#include <strings.h>

#include "engine/base/base.h"

static const struct cut_type_info types[CUT_TYPE_COUNT] = {
    /* plain numbers */
    [CUT_F32]  = { "f32",  1, 4, true },
    [CUT_F16]  = { "f16",  1, 2, true },
    [CUT_BF16] = { "bf16", 1, 2, true },
    [CUT_F64]  = { "f64",  1, 8, false },
    [CUT_I8]   = { "i8",   1, 1, false },
    [CUT_I16]  = { "i16",  1, 2, false },
    [CUT_I32]  = { "i32",  1, 4, false },
    [CUT_I64]  = { "i64",  1, 8, false },

    /* blocks of 32: a scale (_0), or a scale and a minimum (_1) */
    [CUT_Q4_0] = { "q4_0", 32, 18, true },
    [CUT_Q4_1] = { "q4_1", 32, 20, true },
    [CUT_Q5_0] = { "q5_0", 32, 22, true },
    [CUT_Q5_1] = { "q5_1", 32, 24, true },
    [CUT_Q8_0] = { "q8_0", 32, 34, true },
    [CUT_Q8_1] = { "q8_1", 32, 36, false },

    /* super-blocks of 256, whose sub-blocks have quantized scales */
    [CUT_Q2_K] = { "q2_K", 256, 84, true },
    [CUT_Q3_K] = { "q3_K", 256, 110, true },
    [CUT_Q4_K] = { "q4_K", 256, 144, true },
    [CUT_Q5_K] = { "q5_K", 256, 176, true },
    [CUT_Q6_K] = { "q6_K", 256, 210, true },
    [CUT_Q8_K] = { "q8_K", 256, 292, false },

    /* codebooks, and a table of values that are not evenly spaced (NL) */
    [CUT_IQ1_S]   = { "iq1_s",   256, 50, true },
    [CUT_IQ1_M]   = { "iq1_m",   256, 56, true },
    [CUT_IQ2_XXS] = { "iq2_xxs", 256, 66, true },
    [CUT_IQ2_XS]  = { "iq2_xs",  256, 74, true },
    [CUT_IQ2_S]   = { "iq2_s",   256, 82, true },
    [CUT_IQ3_XXS] = { "iq3_xxs", 256, 98, true },
    [CUT_IQ3_S]   = { "iq3_s",   256, 110, true },
    [CUT_IQ4_NL]  = { "iq4_nl",  32, 18, true },
    [CUT_IQ4_XS]  = { "iq4_xs",  256, 136, true },

    /* ternary weights */
    [CUT_TQ1_0] = { "tq1_0", 256, 54, true },
    [CUT_TQ2_0] = { "tq2_0", 256, 66, true },

    /* 4-bit floats with a shared scale; 1 and 2 bits with a scale */
    [CUT_MXFP4] = { "mxfp4", 32, 17, true },
    [CUT_NVFP4] = { "nvfp4", 64, 36, true },
    [CUT_Q1_0]  = { "q1_0", 128, 18, true },
    [CUT_Q2_0]  = { "q2_0", 64, 18, true },
};

const struct cut_type_info *cut_type_info(uint32_t type) {
    return type < CUT_LEN(types) && types[type].name ? &types[type] : NULL;
}

int cut_type_by_name(const char *name) {
    for (size_t i = 0; i < CUT_LEN(types); i++)
        if (types[i].name && !strcasecmp(types[i].name, name)) return (int)i;
    return -1;
}
