/* program.c - compiling: what is fused, and that no two values that live at once share memory. */
#include "tests/test.h"

#include "engine/graph/program.h"

/* A block by hand: n = norm(x); q, k, v; rope; store; attention; out; residual; feed-forward. */
static struct cut_tensor_info square = { "w", CUT_Q8_0, 2, { 64, 64, 1, 1 }, 0, 0, NULL }, wide = { "w", CUT_BF16, 2, { 64, 128, 1, 1 }, 0, 0, NULL },
                              tall = { "w", CUT_Q4_0, 2, { 128, 64, 1, 1 }, 0, 0, NULL }, vec = { "w", CUT_F32, 1, { 64, 1, 1, 1 }, 0, 0, NULL };

#define L(name) CUT_HERE, (struct cut_label){ 0, name, NULL, "" }

static void block(struct cut_graph *g) {
    int x = cut_graph_embed(g, L("embed"), &square), n = cut_graph_rms_norm(g, L("norm"), x, &vec);
    int q = cut_graph_matmul(g, L("q"), n, &square, 4), k = cut_graph_matmul(g, L("k"), n, &square, 4), v = cut_graph_matmul(g, L("v"), n, &square, 4);
    q = cut_graph_rope(g, L("q_rope"), q);
    k = cut_graph_rope(g, L("k_rope"), k);
    cut_graph_kv_store(g, L("kv_store"), k, v);
    int z = cut_graph_mix(g, L("z"), cut_graph_softmax(g, L("pattern"), cut_graph_scores(g, L("scores"), q)), q);
    int mid = cut_graph_add(g, L("mid"), x, cut_graph_matmul(g, L("out"), z, &square, 1));
    n = cut_graph_rms_norm(g, L("ffn_norm"), mid, &vec);
    int gate = cut_graph_matmul(g, L("gate"), n, &wide, 1), up = cut_graph_matmul(g, L("up"), n, &wide, 1), act = cut_graph_silu_mul(g, L("act"), gate, up);
    int post = cut_graph_add(g, L("post"), mid, cut_graph_matmul(g, L("down"), act, &tall, 1));
    n = cut_graph_rms_norm(g, L("final"), post, &vec);
    cut_graph_outputs_only(g, n);
    cut_graph_matmul(g, L("logits"), n, &square, 1);
}

static bool lowered(struct cut_graph *low, struct cut_arena *arena, bool f32) {
    struct cut_kernels k;
    struct cut_graph g = { .arena = arena };
    cut_kernels_init(&k, CUT_TIER_REF);
    block(&g);
    bool ok = !g.failed && !cut_graph_lower(low, &g, &k, f32, arena, NULL);
    free(g.node);
    return ok;
}

TEST(program_rounds_activations_once) {
    struct cut_arena arena = { 0 };
    struct cut_graph g, plain;
    REQUIRE(lowered(&g, &arena, false) && lowered(&plain, &arena, true));
    int q8 = 0, bf16 = 0;
    for (int i = 0; i < g.n; i++) {
        q8 += g.node[i].op == CUT_OP_QUANTIZE;
        bf16 += g.node[i].op == CUT_OP_ROUND;
        for (int j = 0; j < g.node[i].n_in; j++) CHECK(g.node[i].in[j] < i);
    }
    CHECK(q8 == 4 && bf16 == 1, "%d and %d", q8, bf16);      /* norm, z, act, final; and the norm before gate and up */
    CHECK(g.n == plain.n + 5);
    free(g.node);
    free(plain.node);
    cut_arena_done(&arena);
}

TEST(program_fuses) {
    struct cut_arena arena = { 0 };
    struct cut_graph g;
    struct cut_program p, keep;
    int seen[8] = { 0 }, nodes = 0;
    REQUIRE(lowered(&g, &arena, false));
    REQUIRE(!cut_program_init(&p, &g, false, NULL) && !cut_program_init(&keep, &g, true, NULL));
    for (int s = 0; s < p.n_steps; s++) {
        CHECK(p.step[s].first == nodes);
        nodes += p.step[s].n;
        seen[p.step[s].fusion]++;
    }
    CHECK(nodes == g.n && keep.n_steps == g.n);
    CHECK(seen[CUT_FUSE_NORM_QUANTIZE] == 2 && seen[CUT_FUSE_MATMULS] == 1 && seen[CUT_FUSE_ROPE_STORE] == 1 && seen[CUT_FUSE_ATTENTION] == 1 &&
          seen[CUT_FUSE_MATMUL_ADD] == 2 && seen[CUT_FUSE_GATE_UP] == 1);
    cut_program_done(&p);
    cut_program_done(&keep);
    free(g.node);
    cut_arena_done(&arena);
}

TEST(program_layout_never_overlaps) {
    struct cut_arena arena = { 0 };
    struct cut_graph g;
    REQUIRE(lowered(&g, &arena, false));
    for (int keep = 0; keep < 2; keep++) {
        struct cut_program p;
        REQUIRE(!cut_program_init(&p, &g, keep, NULL));
        cut_program_layout(&p, 7, 32, 2);
        for (int i = 0; i < g.n; i++)
            for (int j = 0; j < i; j++) {
                bool stored = g.node[i].op != CUT_OP_KV_STORE && g.node[j].op != CUT_OP_KV_STORE;
                for (int k = 0; k < 2 && !keep; k++) {
                    enum cut_op op = g.node[k ? i : j].op;
                    stored = stored && op != CUT_OP_SCORES && op != CUT_OP_SOFTMAX;
                }
                bool together = keep || (p.last[j] >= p.born[i] && p.last[i] >= p.born[j]);
                size_t ni = cut_value_stride(&g.node[i], 32) * (g.node[i].ne[2].sym == 'O' ? 2 : 7);
                size_t nj = cut_value_stride(&g.node[j], 32) * (g.node[j].ne[2].sym == 'O' ? 2 : 7);
                bool apart = p.offset[i] + ni <= p.offset[j] || p.offset[j] + nj <= p.offset[i];
                CHECK(!stored || !together || apart, "%s and %s", g.node[i].name, g.node[j].name);
                CHECK(p.offset[i] + (stored ? ni : 0) <= p.bytes);
            }
        cut_program_done(&p);
    }
    free(g.node);
    cut_arena_done(&arena);
}
