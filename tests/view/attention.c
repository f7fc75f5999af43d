/* Attention in snapshots: rows that sum to one, scores that are the rows' own, an edit and its undoing. */
#include "tests/test.h"
#include "tui/work.h"

static struct tui_work *open_work(int n_ctx) {
    static const char *const args[] = { "dim=64", "ffn=64", "layers=2", "heads=8", "kv_heads=2", "vocab=300", "ctx=2048" };
    const char *path = test_tmp("attention.gguf");
    struct cut_err err = { 0 };
    struct cut_model *m;
    struct tui_work *w = NULL;
    struct tui_work_opts o = { .n_ctx = n_ctx, .threads = 1, .tier = CUT_TIER_REF };
    if (cut_synth(path, "llama", args, 7, &err) || cut_model_open(&m, path, 0, &err) || tui_work_new(&w, m, &o, &err))
        printf("    %s\n", err.msg);
    return w;
}

static const struct tui_snap *after(struct tui_work *w, struct tui_cmd c) {
    tui_work_post(w, &c);
    tui_work_settle(w);
    return tui_work_get(w);
}

static const struct tui_snap *look(struct tui_work *w, int layer, int head, int query, enum cut_attn_stage stage) {
    struct tui_watch watch = { .step = -1, .pos = -1, .row = -1, .col = -1, .attn_layer = layer, .attn_head = head,
                               .attn_pos = query, .attn_stage = stage, .attn_heads = true };
    tui_work_watch(w, &watch);
    tui_work_settle(w);
    return tui_work_get(w);
}

static const float *row_of(const struct tui_pattern *p, int head, int query) {
    return p->data + ((size_t)head * (size_t)p->n_rows + (size_t)(query - p->row0)) * (size_t)p->n;
}

TEST(view_attention_rows_and_scores_agree) {
    struct tui_work *w = open_work(64);
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN }));
    const struct tui_snap *s = look(w, 1, 5, 3, CUT_ATTN_SCALED);
    REQUIRE(s->attn && s->attn->pattern && s->attn->rows && s->attn->heads);
    const struct tui_pattern *p = s->attn->pattern;
    CHECK(p->layer == 1 && p->n == s->n_tokens && p->n_rows == p->n && p->real0 == p->n && !p->edited);
    int32_t id[64];
    for (int i = 0; i < p->n; i++) id[i] = s->token[i].id;
    for (int h = 0; h < p->n_head; h++) {
        struct tui_head_tally t = { 0 };
        for (int i = 0; i < p->n; i++) {
            const float *row = row_of(p, h, i);
            for (int j = i + 1; j < p->n; j++) CHECK(isnan(row[j]), "the future is blank");
            tui_head_row(&t, row, i, id);
        }
        struct tui_head_scores own = tui_head_score(&t);
        CHECK(own.row_error < 1e-6f && !memcmp(&own, &s->attn->heads->head[p->n_head + h], sizeof own), "head %d", h);
    }
    /* The stages of the watched row: raw / sqrt(8) = scaled, and softmax is the pattern's row. */
    const float *stage = s->attn->stages;
    for (int j = 0; j <= 3; j++) {
        CHECK(fabsf(stage[j] / sqrtf(8) - stage[p->n + j]) < 1e-5f * fabsf(stage[j]) + 1e-6f);
        CHECK(stage[2 * p->n + j] == row_of(p, 5, 3)[j] && stage[p->n + j] == s->attn->rows[3 * p->n + j]);
    }
    tui_snap_free(s);
    tui_work_free(w);
}

TEST(view_attention_zeroed_head_and_undo) {
    struct tui_work *w = open_work(64);
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN }));
    const struct tui_snap *before = look(w, 1, 0, -1, CUT_ATTN_SOFTMAX);
    struct tui_cmd zero = { .kind = TUI_CMD_EDIT, .edit = { "blk.0.z", CUT_EDIT_SCALE, 0, -1, 3, 0, 0, -1 } };
    const struct tui_snap *edited = after(w, zero), *undone = after(w, (struct tui_cmd){ .kind = TUI_CMD_UNDO });
    REQUIRE(before->n_top && edited->n_top && undone->n_top && edited->attn->pattern && undone->attn->pattern);
    size_t bytes = (size_t)(8 * before->n_tokens * before->n_tokens) * sizeof(float);
    CHECK(edited->n_edits == 1 && edited->attn->pattern->edited, "layer 1 reads what head 3 of layer 0 wrote");
    CHECK(memcmp(before->attn->pattern->data, edited->attn->pattern->data, bytes), "another pattern");
    CHECK(memcmp(before->top, edited->top, sizeof before->top), "other probabilities");
    CHECK(!memcmp(before->attn->pattern->data, undone->attn->pattern->data, bytes) && !undone->attn->pattern->edited);
    CHECK(!memcmp(before->top, undone->top, sizeof before->top), "the same bytes again");
    tui_snap_free(before);
    tui_snap_free(edited);
    tui_snap_free(undone);
    tui_work_free(w);
}

/* An edit of the pattern itself: the pass computes with it, so the rows shown are its own. */
TEST(view_attention_edited_pattern_is_real) {
    struct tui_work *w = open_work(64);
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN }));
    tui_snap_free(look(w, 0, 2, -1, CUT_ATTN_SOFTMAX));
    struct tui_cmd set = { .kind = TUI_CMD_EDIT, .edit = { "blk.0.pattern", CUT_EDIT_SET, 0.25f, 1, 2, 0, 0, -1 } };
    const struct tui_snap *s = after(w, set);
    const struct tui_pattern *p = s->attn->pattern;
    CHECK(p->edited && p->real0 == 0 && row_of(p, 2, p->n - 1)[1] == 0.25f && row_of(p, 1, p->n - 1)[1] != 0.25f);
    tui_snap_free(s);
    tui_work_free(w);
}

/* A long text: what is copied and scored stays bounded, and holds the watched row. */
TEST(view_attention_is_capped) {
    char text[1201];
    for (int i = 0; i < 1200; i++) text[i] = (char)('a' + i * 7 % 23);
    text[1200] = 0;
    struct tui_work *w = open_work(2048);
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = text }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN }));
    for (int query = 0; query < 600; query += 599) {
        const struct tui_snap *s = look(w, 0, 0, query, CUT_ATTN_SOFTMAX);
        const struct tui_pattern *p = s->attn->pattern;
        REQUIRE(p && s->attn->heads);
        CHECK(p->n > 600 && p->n_rows < p->n && p->n_head * p->n_rows * p->n <= 1 << 19, "%d rows of %d", p->n_rows, p->n);
        CHECK(query >= p->row0 && query < p->row0 + p->n_rows && s->attn->query == query);
        CHECK(s->attn->heads->layer[1].rows > 0 && s->attn->heads->layer[1].n == p->n);
        tui_snap_free(s);
    }
    tui_work_free(w);
}
