/* layout.c - the description of blocks, held against the decoder: every bit of a block is flipped to see what changes. */
#include "engine/quant/unpack.h"
#include "tests/test.h"

#define EACH_LAYOUT(type) \
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++) \
        if (cut_block_layout(type))

enum { MOST_BYTES = 256, MOST_WEIGHTS = 256 };

static uint32_t float_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

/* Random bytes, aligned like a row. */
struct block { _Alignas(8) uint8_t at[MOST_BYTES]; };
static struct block random_block(enum cut_type type, uint64_t *rng) {
    struct block b = { { 0 } };
    for (int i = 0; i < cut_type_info(type)->bytes; i++) b.at[i] = (uint8_t)cut_rng_next(rng);
    return b;
}

/* Fields follow each other and fill the block; each belongs to something; formats that can be decoded are those with a layout. */
TEST(layout_fields) {
    int n = 0;
    EACH_LAYOUT(type) {
        const struct cut_type_info *info = cut_type_info(type);
        const struct cut_block_layout *l = cut_block_layout(type);
        int at = 0;
        for (int f = 0; f < l->n_fields; f++) {
            CHECK(l->field[f].at == at && l->field[f].bytes > 0 && l->field[f].name && l->field[f].what, "%s field %d", info->name, f);
            CHECK(l->field[f].bits > 0 && l->field[f].bytes * 8 % l->field[f].bits == 0, "%s.%s", info->name, l->field[f].name);
            at += l->field[f].bytes;
        }
        CHECK(at == info->bytes && info->block % l->n_scale == 0 && l->n_scale % l->n_group == 0, "%s: %d", info->name, at);
        n++;
    }
    CHECK(n == 25, "%d", n);
    for (enum cut_type type = 0; type < CUT_TYPE_COUNT; type++)
        CHECK((cut_block_layout(type) != NULL) == (cut_form_of(type)->scales > 0), "%d", type);
    CHECK(cut_bits_per_weight(CUT_Q4_K) == 4.5 && cut_bits_per_weight(CUT_IQ1_S) == 1.5625 && cut_bits_per_weight(CUT_F32) == 32);
    CHECK(cut_bits_per_weight((enum cut_type)4) == 0 && !cut_block_layout((enum cut_type)4) && !cut_block_layout(CUT_F16));
}

TEST(layout_refuses) {
    uint8_t block[18] = { 0 };
    struct cut_block_element e = { .q = 77 };
    CHECK(!cut_block_element(CUT_Q4_0, block, -1, &e) && !cut_block_element(CUT_Q4_0, block, 32, &e));
    CHECK(!cut_block_element(CUT_F32, block, 0, &e));
    CHECK(!cut_block_set_code(CUT_Q4_0, block, 32, 15) && !cut_block_set_code(CUT_Q8_K, block, 0, 15));
    CHECK(e.q == 77 && block[0] == 0 && block[17] == 0);
}

/* Element by element, the decoder's values, to the bit. */
TEST(layout_values) {
    uint64_t rng = 3;
    EACH_LAYOUT(type)
        for (int round = 0; round < 20; round++) {
            const struct cut_type_info *info = cut_type_info(type);
            struct block b = random_block(type, &rng);
            float w[MOST_WEIGHTS];
            cut_decode(type, b.at, w, (size_t)info->block);
            for (int i = 0; i < info->block; i++) {
                struct cut_block_element e;
                REQUIRE(cut_block_element(type, b.at, i, &e));
                bool nan = w[i] != w[i] && e.value != e.value;
                CHECK(nan || float_bits(e.value) == float_bits(w[i]), "%s: weight %d is %a, not %a", info->name, i, e.value, w[i]);
                CHECK(e.n_bits >= 2 && e.n_bits <= 8 && e.code_bits > 0 && e.code < 1u << e.code_bits, "%s", info->name);
                for (int j = 0; j < e.n_bits; j++) {
                    const struct cut_block_field *f = &cut_block_layout(type)->field[e.bits[j].field];
                    CHECK(e.bits[j].byte >= f->at && e.bits[j].byte + (e.bits[j].bit + e.bits[j].n - 1) / 8 < f->at + f->bytes, "%s", info->name);
                    CHECK(j == 0 || e.bits[j].role >= e.bits[j - 1].role, "%s", info->name);
                }
            }
        }
}

/* For each bit of the block: which weights name it (in which role), and which change when it is flipped. The second are always among the
 * first; over a few random blocks, each naming weight changes at least once (of an index, some weight of the
 * group, since neighbours in a codebook have much in common; and some of a byte of trits). A bit of role Q belongs to one weight (a byte of tq1_0 to
 * five), one of an index to its group, one of a scale to at least n_scale weights. */
TEST(layout_every_bit) {
    uint64_t rng = 5;
    EACH_LAYOUT(type) {
        const struct cut_type_info *info = cut_type_info(type);
        const struct cut_block_layout *layout = cut_block_layout(type);
        static int role[MOST_BYTES * 8][MOST_WEIGHTS];                  /* 1 + the role */
        static bool changed[MOST_BYTES * 8][MOST_WEIGHTS];
        memset(role, 0, sizeof role);
        memset(changed, 0, sizeof changed);
        for (int i = 0; i < info->block; i++) {
            struct cut_block_element e;
            struct block b = random_block(type, &rng);
            REQUIRE(cut_block_element(type, b.at, i, &e));
            for (int j = 0; j < e.n_bits; j++)
                for (int k = 0; k < e.bits[j].n; k++) role[e.bits[j].byte * 8 + e.bits[j].bit + k][i] = 1 + (int)e.bits[j].role;
        }
        for (int round = 0; round < 24; round++) {
            struct block b = random_block(type, &rng);
            float w[MOST_WEIGHTS], after[MOST_WEIGHTS];
            cut_decode(type, b.at, w, (size_t)info->block);
            for (int bit = 0; bit < info->bytes * 8; bit++) {
                b.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
                cut_decode(type, b.at, after, (size_t)info->block);
                b.at[bit / 8] ^= (uint8_t)(1 << bit % 8);
                for (int i = 0; i < info->block; i++)
                    if (float_bits(w[i]) != float_bits(after[i])) changed[bit][i] = true;
            }
        }
        for (int bit = 0; bit < info->bytes * 8; bit++) {
            int n[7] = { 0 }, all = 0, moved = 0;
            bool unused = type == CUT_NVFP4 && bit < 32 && bit % 8 == 7;          /* a scale has no sign */
            for (int i = 0; i < info->block; i++) {
                CHECK(!changed[bit][i] || role[bit][i], "%s: bit %d changes weight %d, which does not name it", info->name, bit, i);
                bool shared = role[bit][i] == 1 + CUT_BITS_INDEX || (type == CUT_TQ1_0 && role[bit][i] == 1 + CUT_BITS_Q);
                CHECK(changed[bit][i] || !role[bit][i] || unused || shared, "%s: bit %d never changes weight %d", info->name, bit, i);
                moved += changed[bit][i];
                n[role[bit][i]]++;
                all += role[bit][i] != 0;
            }
            CHECK(all > 0 && (moved > 0 || unused), "%s: bit %d is nobody's", info->name, bit);
            CHECK(n[1 + CUT_BITS_Q] <= (type == CUT_TQ1_0 ? 5 : 1), "%s: bit %d", info->name, bit);
            CHECK(!n[1 + CUT_BITS_INDEX] || n[1 + CUT_BITS_INDEX] == layout->n_group, "%s: bit %d", info->name, bit);
            CHECK(!n[1 + CUT_BITS_SCALE] || n[1 + CUT_BITS_SCALE] >= layout->n_scale, "%s: bit %d", info->name, bit);
            CHECK(n[1 + CUT_BITS_SIGN] <= 2, "%s: bit %d", info->name, bit);
        }
    }
}

/* A code set is the code read, and nothing else has moved: set back, the block is what it was. */
TEST(layout_set_code) {
    uint64_t rng = 7;
    EACH_LAYOUT(type) {
        const struct cut_type_info *info = cut_type_info(type);
        struct block b = random_block(type, &rng), before = b;
        for (int i = 0; i < info->block; i++) {
            struct cut_block_element e, f;
            uint32_t code = (uint32_t)cut_rng_next(&rng);
            REQUIRE(cut_block_element(type, b.at, i, &e) && cut_block_set_code(type, b.at, i, code) && cut_block_element(type, b.at, i, &f));
            CHECK(f.code == (code & ((1u << e.code_bits) - 1)), "%s: weight %d", info->name, i);
            CHECK(cut_block_set_code(type, b.at, i, e.code) && !memcmp(b.at, before.at, sizeof b.at), "%s: weight %d", info->name, i);
        }
    }
    /* q4_0: weight 17 is the high nibble of byte 1. */
    struct cut_q4_0 q = { .d = 0x3C00 };
    struct cut_block_element e;
    CHECK(cut_block_set_code(CUT_Q4_0, &q, 17, 15) && q.qs[1] == 0xF0 && cut_block_element(CUT_Q4_0, &q, 17, &e) && e.value == 7 && e.q == 7);
}
