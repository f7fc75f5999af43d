/* types.c - the table of formats, against the sizes another implementation uses. */
#include "tests/test.h"

TEST(types_lookup) {
    CHECK(cut_type_by_name("q4_0") == CUT_Q4_0 && cut_type_by_name("Q6_k") == CUT_Q6_K && cut_type_by_name("F32") == CUT_F32);
    CHECK(cut_type_by_name("q4") == -1 && cut_type_by_name("") == -1 && cut_type_by_name("q4_00") == -1);
    CHECK(!cut_type_info(4) && !cut_type_info(31) && !cut_type_info(CUT_TYPE_COUNT) && !cut_type_info(UINT32_MAX));
    for (uint32_t i = 0; i < CUT_TYPE_COUNT; i++)
        if (cut_type_info(i)) CHECK(cut_type_by_name(cut_type_info(i)->name) == (int)i, "%u", i);
}

TEST(types_golden_sizes) {
    const char *path = test_shared("golden/quant/types.tsv");
    if (!path) SKIP("no golden/quant/types.tsv");
    FILE *f = fopen(path, "r");
    char line[200], name[32];
    unsigned id, block, bytes;
    int rows = 0;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%u %31s %u %u", &id, name, &block, &bytes) != 4) continue;
        const struct cut_type_info *t = cut_type_info(id);
        CHECK(t && !strcmp(t->name, name) && t->block == (int)block && t->bytes == (int)bytes, "%s", line);
        rows++;
    }
    CHECK(rows == 27, "%d rows", rows);
    if (f) fclose(f);
}
