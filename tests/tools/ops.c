/* ops.c - the demonstrations: every way gives the first one's result, and the flops are those of the formula. */
#include "tests/test.h"

struct seen { int rows, timed, stop_after; double worst; struct cut_ops_row row[48]; };

static bool gather(void *user, const struct cut_ops_row *r) {
    struct seen *s = user;
    if (s->rows < 48) s->row[s->rows] = *r;
    s->rows++;
    if (r->seconds > 0) s->timed++;
    if (r->checked && r->error > s->worst) s->worst = r->error;
    return s->rows != s->stop_after;
}

static struct cut_ops_opts small(const struct cut_model *m) {
    return (struct cut_ops_opts){ .size = 64, .seconds = 2e-3, .model = m };
}

TEST(ops_agree_with_themselves) {
    static struct seen s;
    struct cut_err err;
    struct cut_ops_opts o = small(NULL);
    static const struct { int rows; double worst; } want[] = { { 5, 1e-5 }, { 2, 1e-5 }, { 7, 1e-3 }, { 4, 1e-4 } };
    for (int d = 0; d < 4; d++) {
        s = (struct seen){ 0 };
        REQUIRE(!cut_ops(d, &o, gather, &s, &err), "%s", err.msg);
        CHECK(s.rows == want[d].rows && s.timed == s.rows && s.worst < want[d].worst, "%s: %d rows, error %g",
              cut_ops_name(d), s.rows, s.worst);
        for (int i = 0; i < s.rows; i++)
            CHECK(s.row[i].seconds > 0 && s.row[i].flops > 0 && s.row[i].bytes > 0 && s.row[i].what[0], "%s: %s",
                  cut_ops_name(d), s.row[i].what);
        CHECK(!s.row[0].checked && s.row[s.rows - 1].checked, "%s: against the first", cut_ops_name(d));
    }
}

TEST(ops_matmul_counts_its_flops) {
    static struct seen s;
    struct cut_err err;
    struct cut_ops_opts o = small(NULL);
    REQUIRE(!cut_pool_new(&o.pool, 2, &err), "%s", err.msg);
    REQUIRE(!cut_ops(0, &o, gather, &s, &err), "%s", err.msg);
    CHECK(s.rows == 6 && strstr(s.row[5].what, "2 threads"), "%s", s.row[5].what);
    for (int i = 0; i < s.rows; i++) CHECK(s.row[i].flops == 2.0 * 64 * 64 * 64 && !strcmp(s.row[i].demo, "matmul"));
    CHECK(s.row[1].error == 0 && s.row[2].error == 0 && s.row[3].error == 0,
          "other orders of the loops, the same order of each sum");
    cut_pool_free(o.pool);
}

TEST(ops_types_get_worse_with_fewer_bits) {
    SKIP_EMULATED();
    static struct seen s;
    struct cut_err err;
    struct cut_ops_opts o = small(NULL);
    o.seconds = 2e-4;
    REQUIRE(!cut_ops(4, &o, gather, &s, &err), "%s", err.msg);
    double f32 = 1, q8 = 1, q4 = 0;
    int types = 0;
    for (int t = 0; t < CUT_TYPE_COUNT; t++) types += cut_encodes((enum cut_type)t) && cut_type_info((uint32_t)t)->runs;
    CHECK(s.rows <= 2 * types && s.rows >= 6 && s.rows % 2 == 0, "%d rows, %d types", s.rows, types);
    for (int i = 0; i < s.rows && i < 48; i++) {
        if (!strcmp(s.row[i].what, "f32, 1 token")) f32 = s.row[i].error;
        if (!strcmp(s.row[i].what, "q8_0, 1 token")) q8 = s.row[i].error;
        if (!strcmp(s.row[i].what, "q4_0, 1 token")) q4 = s.row[i].error;
        CHECK(strcmp(s.row[i].what, "q4_0, 1 token") || !strcmp(s.row[i].note, "4.5 bits per weight"), "%s", s.row[i].note);
    }
    CHECK(f32 < 1e-5 && q8 > 1e-4 && q8 < 0.02 && q4 > 2 * q8 && q4 < 0.2, "%g %g %g", f32, q8, q4);
}

TEST(ops_graph_counts_nodes) {
    static struct seen s;
    struct cut_err err;
    struct cut_model *m;
    REQUIRE(!cut_model_open(&m, "assets/pebble.gguf", 0, &err), "%s", err.msg);
    struct cut_ops_opts o = small(m);
    REQUIRE(!cut_ops(5, &o, gather, &s, &err), "%s", err.msg);
    int nodes = s.row[0].count, sum = 0, fused = 0;
    for (int i = 1; i < s.rows; i++) {
        if (s.row[i].what[0] == ' ') sum += s.row[i].count;
        if (!strcmp(s.row[i].what, "  matmul")) CHECK(s.row[i].count == 4 * 7 + 1);
        if (!strcmp(s.row[i].what, "steps after fusion")) fused = s.row[i].count;
    }
    CHECK(nodes > 70 && sum == nodes && fused > 0 && fused < nodes, "%d nodes, %d by kind, %d steps", nodes, sum, fused);
    CHECK(s.timed == 2 && s.row[s.rows - 1].flops > 4e6, "%g", s.row[s.rows - 1].flops);
    cut_model_close(m);
}

TEST(ops_refuse_and_stop) {
    static struct seen s;
    struct cut_err err;
    struct cut_ops_opts o = small(NULL);
    s.stop_after = 2;
    CHECK(cut_ops(0, &o, gather, &s, &err) == CUT_ECANCEL && s.rows == 2);
    CHECK(cut_ops(6, &o, gather, &s, &err) == CUT_EUSAGE);
    CHECK(cut_ops(5, &o, gather, &s, &err) == CUT_EUSAGE && strstr(err.msg, "needs a model"), "%s", err.msg);
    o.size = 33;
    CHECK(cut_ops(0, &o, gather, &s, &err) == CUT_EUSAGE && strstr(err.msg, "size 33"), "%s", err.msg);
}
