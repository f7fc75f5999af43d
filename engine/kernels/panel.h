/* panel.h - quantized weights in the order a processor multiplies them. Internal.
 *
 * A file stores a matrix row by row, and what belongs to a block (scales, nibbles, high bits) side by side. A product by vectors wants
 * something else: the same few columns of many rows next to each other, so that every lane of a vector has a row of its own, nothing is
 * ever summed across lanes, and the scales of the rows are a vector, too. A panel is CUT_PANEL rows in that order; the bytes are
 * those of the file, moved, and with small scales widened to whole bytes (q4_K grows by 3 %). It is made once, and never written back.
 *
 * Columns are taken by groups: 256, a super-block, or 32 in the formats that have a float16 scale for every 32. A group is
 *
 *   d       16 float16                 one for each row
 *   m       16 float16                 offsets: of each 32 (q4_1, q5_1), or dmin of the super-block
 *   scales  [parts of the group][16]   super-blocks only, int8: of 32 or 16 columns each. q2_K: scale + 16 min
 *   mins    [parts of the group][16]   super-blocks with an offset only, uint8
 *   codes   [blocks of 32 columns]     drawn below
 *
 * A block's codes are 8 vectors of 64 bytes, cut into planes of 1, 2, 4 or 8 bits:
 *
 *            lane 0         lane 1               lane 15
 *   w[0]   r0: c0..c3     r1: c0..c3   ...    r15: c0..c3        4 bits:  w[0] | w[1] << 4,  w[2] | w[3] << 4, ...
 *   w[1]   r0: c4..c7     r1: c4..c7   ...                       2 bits:  w[0] | w[1] << 2 | w[2] << 4 | w[3] << 6,  w[4] | ...
 *   ...                                                          1 bit:   w[0] | w[1] << 1 | ... | w[7] << 7
 *   w[7]   r0: c28..c31   ...
 *
 * so that shifting a vector by the same count in every lane, and a mask, gives four columns of sixteen rows. */
#ifndef CUT_PANEL_H
#define CUT_PANEL_H

#include "engine/base/base.h"

enum { CUT_PANEL = 16 };       /* rows */

struct cut_panel_form {
    uint8_t low, high;         /* bits of a code: the plane(s) that come first, and those above them (0: none). low = 0: no panels */
    uint8_t parts;             /* scales for 32 columns: 1, or 2 */
    bool super;                /* integer scales under one d for 256 columns */
    bool offset;
    bool nibbles;              /* scale and min share a byte */
    bool table;                /* codes are indices of cut_iq4_values */
    uint8_t zero;              /* what stands for 0 among the codes; the table's values get it added */
};

static inline struct cut_panel_form cut_panel_form(enum cut_type type) {
    switch (type) {
    case CUT_Q4_0:   return (struct cut_panel_form){ .low = 4, .parts = 1, .zero = 8 };
    case CUT_Q4_1:   return (struct cut_panel_form){ .low = 4, .parts = 1, .offset = true };
    case CUT_Q5_0:   return (struct cut_panel_form){ .low = 4, .high = 1, .parts = 1, .zero = 16 };
    case CUT_Q5_1:   return (struct cut_panel_form){ .low = 4, .high = 1, .parts = 1, .offset = true };
    case CUT_Q8_0:   return (struct cut_panel_form){ .low = 8, .parts = 1, .zero = 128 };
    case CUT_IQ4_NL: return (struct cut_panel_form){ .low = 4, .parts = 1, .table = true, .zero = 128 };
    case CUT_Q2_K:   return (struct cut_panel_form){ .low = 2, .parts = 2, .super = true, .offset = true, .nibbles = true };
    case CUT_Q3_K:   return (struct cut_panel_form){ .low = 2, .high = 1, .parts = 2, .super = true, .zero = 4 };
    case CUT_Q4_K:   return (struct cut_panel_form){ .low = 4, .parts = 1, .super = true, .offset = true };
    case CUT_Q5_K:   return (struct cut_panel_form){ .low = 4, .high = 1, .parts = 1, .super = true, .offset = true };
    case CUT_Q6_K:   return (struct cut_panel_form){ .low = 4, .high = 2, .parts = 2, .super = true, .zero = 32 };
    case CUT_IQ4_XS: return (struct cut_panel_form){ .low = 4, .parts = 1, .super = true, .table = true, .zero = 128 };
    default:         return (struct cut_panel_form){ 0 };
    }
}
#define CUT_PANEL_FORMATS(DO) \
    DO(Q4_0) DO(Q4_1) DO(Q5_0) DO(Q5_1) DO(Q8_0) DO(IQ4_NL) DO(Q2_K) DO(Q3_K) DO(Q4_K) DO(Q5_K) DO(Q6_K) DO(IQ4_XS)

/* Does a session of this setting repack a format that has panels? q8_0 only where it is told to: its rows are read about as fast, and so
 * large a copy takes longer than the first token. */
static inline bool cut_panel_wanted(enum cut_repack repack, enum cut_type type) {
    return repack == CUT_REPACK_ALWAYS || (repack == CUT_REPACK_AUTO && type != CUT_Q8_0);
}

/* Where the pieces of a group are, and its size, in bytes. */
static inline int cut_panel_columns(struct cut_panel_form f) { return f.super ? 256 : 32; }
static inline size_t cut_panel_scales(struct cut_panel_form f) { return (size_t)(2 * CUT_PANEL * (f.offset ? 2 : 1)); }
static inline size_t cut_panel_mins(struct cut_panel_form f) {
    return cut_panel_scales(f) + (f.super ? (size_t)(8 * f.parts * CUT_PANEL) : 0);
}
static inline size_t cut_panel_codes(struct cut_panel_form f) {
    return cut_panel_mins(f) + (f.super && f.offset && !f.nibbles ? (size_t)(8 * f.parts * CUT_PANEL) : 0);
}
static inline size_t cut_panel_block(struct cut_panel_form f) { return (size_t)(4 * CUT_PANEL * (f.low + f.high)); }
static inline size_t cut_panel_group(struct cut_panel_form f) {
    return cut_panel_codes(f) + (size_t)(cut_panel_columns(f) / 32) * cut_panel_block(f);
}

/* Bytes of 16 rows of k columns; 0: rows of this format and length have no panels. */
static inline size_t cut_panel_bytes(enum cut_type type, uint64_t k) {
    struct cut_panel_form f = cut_panel_form(type);
    return f.low && k % (uint64_t)cut_panel_columns(f) == 0 ? (size_t)(k / (uint64_t)cut_panel_columns(f)) * cut_panel_group(f) : 0;
}

#endif
