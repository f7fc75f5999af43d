/* The worker: what a snapshot holds, that stepping back undoes stepping, that the screen's side never waits. */
#include <unistd.h>

#include "tests/test.h"
#include "tui/work.h"

static struct tui_work *open_work(void) {
    static const char *const args[] = { "dim=64", "ffn=128", "layers=3", "heads=4", "kv_heads=2", "vocab=300" };
    const char *path = test_tmp("work.gguf");
    struct cut_err err = { 0 };
    struct cut_model *m;
    struct tui_work *w = NULL;
    struct tui_work_opts o = { .n_ctx = 64, .threads = 1, .tier = CUT_TIER_REF };
    if (cut_synth(path, "llama", args, 6, &err) || cut_model_open(&m, path, 0, &err) || tui_work_new(&w, m, &o, &err))
        printf("    %s\n", err.msg);
    return w;
}

/* Run a command to its end; the snapshot after it. */
static const struct tui_snap *after(struct tui_work *w, struct tui_cmd c) {
    tui_work_post(w, &c);
    tui_work_settle(w);
    return tui_work_get(w);
}

static bool same_value(const struct tui_value *a, const struct tui_value *b) {
    return a && b && a->step == b->step && a->n_rows == b->n_rows && a->cols == b->cols && !a->data == !b->data &&
           (!a->data || !memcmp(a->data, b->data, (size_t)(a->n_rows * a->cols) * sizeof *a->data));
}

TEST(view_work_steps_back_to_the_same_values) {
    struct tui_work *w = open_work();
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    const struct tui_snap *a = after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = 30 });
    CHECK(a->where.step == 30 && a->step == 29 && a->value && a->value->data && a->n_tokens > 3);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = -17 }));
    const struct tui_snap *b = after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = 17 });
    CHECK(b->where.step == 30 && same_value(a->value, b->value));
    tui_snap_free(a);
    tui_snap_free(b);
    tui_work_free(w);
}

TEST(view_work_shows_no_value_that_is_not_computed) {
    struct tui_work *w = open_work();
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = 12 }));
    struct tui_watch watch = { .step = 20, .pos = -1, .row = -1, .col = -1, .attn_layer = -1, .attn_pos = -1 };
    tui_work_watch(w, &watch);
    tui_work_settle(w);
    const struct tui_snap *s = tui_work_get(w);
    CHECK(s->step == 20 && s->value && !s->value->data, "step 20 lies ahead of step 12");
    tui_snap_free(s);
    watch.step = 5;
    tui_work_watch(w, &watch);
    tui_work_settle(w);
    s = tui_work_get(w);
    CHECK(s->step == 5 && s->value && s->value->data);
    const struct tui_snap *back = after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = -10 });
    CHECK(back->where.step == 2 && back->value && !back->value->data, "going back takes the value away again");
    tui_snap_free(s);
    tui_snap_free(back);
    tui_work_free(w);
}

TEST(view_work_terms_sum_to_the_value) {
    struct tui_work *w = open_work();
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    struct tui_watch watch = { .step = -1, .pos = -1, .row = -1, .col = -1, .attn_layer = -1, .attn_pos = -1, .explain = true };
    tui_work_watch(w, &watch);
    const struct tui_snap *s = after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = 4 });
    REQUIRE(s->has_explain, "%s", s->explain_err.msg);
    double sum = 0;
    for (int i = 0; i < s->explain.n_terms; i++) sum += (double)s->explain.terms[i].term;
    float cell = s->value->data[(s->row - s->value->row0) * s->value->cols + s->col];
    CHECK(!strcmp(s->list->step[s->step].op, "matmul") && s->explain.value == cell);
    CHECK(fabs(sum - (double)cell) < 1e-5 * fabs((double)cell), "%g and %g", sum, (double)cell);
    tui_snap_free(s);
    tui_work_free(w);
}

/* A cell of a matrix product is the row of weights times the input that came with it, whichever token's cell it is. */
TEST(view_work_carries_what_a_step_reads) {
    struct tui_work *w = open_work();
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_SEEK, .n = 20 }));
    struct tui_watch watch = { .pos = -1, .attn_layer = -1, .attn_pos = -1 };
    for (int k = 0; k < 20; k++) {
        for (watch.row = 0; watch.row < 4; watch.row++) {
            watch.step = k;
            watch.col = 3 + watch.row;
            tui_work_watch(w, &watch);
            tui_work_settle(w);
            const struct tui_snap *s = tui_work_get(w);
            const struct cut_step *step = &s->list->step[k];
            for (int i = 0; i < 3; i++) CHECK(!s->in[i] == (i >= step->n_in), "%s: input %d", step->name, i);
            CHECK(!s->weight == !step->weight, "%s", step->name);
            bool lookup = !strcmp(step->op, "get_rows");
            if (lookup || !strcmp(step->op, "matmul")) {
                double sum = 0;
                for (int64_t i = 0; !lookup && i < s->weight->cols; i++)
                    sum += (double)s->weight->data[i] * (double)s->in[0]->data[i];
                if (lookup) sum = (double)s->weight->data[s->col];
                float cell = s->value->data[(s->row - s->value->row0) * s->value->cols + s->col];
                CHECK(fabs(sum - (double)cell) < 1e-4, "%s [%d][%d]: %g and %g", step->name, (int)s->row, (int)s->col, sum, (double)cell);
            }
            tui_snap_free(s);
        }
    }
    watch.step = 21;                       /* it reads step 20, which lies ahead, or 19, which does not */
    tui_work_watch(w, &watch);
    tui_work_settle(w);
    const struct tui_snap *s = tui_work_get(w);
    CHECK(s->value && !s->value->data && s->in[0] && !s->in[0]->data == (s->in[0]->step >= 20), "reads step %d", s->in[0]->step);
    tui_snap_free(s);
    tui_work_free(w);
}

TEST(view_work_edits_and_undoes) {
    struct tui_work *w = open_work();
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    const struct tui_snap *free_run = after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN });
    CHECK(free_run->n_top > 0 && free_run->chosen == free_run->top[0].id);
    struct tui_cmd edit = { .kind = TUI_CMD_EDIT, .edit = { .step = "blk.1.z", .i0 = -1, .i1 = 2, .pos1 = -1 } };
    const struct tui_snap *edited = after(w, edit), *undone = after(w, (struct tui_cmd){ .kind = TUI_CMD_UNDO });
    CHECK(edited->n_edits == 1 && edited->n_top > 0 && edited->top[0].logit != free_run->top[0].logit);
    CHECK(undone->n_edits == 0 && undone->top[0].logit == free_run->top[0].logit && undone->top[0].id == free_run->top[0].id);
    const struct tui_snap *nothing = after(w, (struct tui_cmd){ .kind = TUI_CMD_UNDO });
    CHECK(nothing->err.code == CUT_EUSAGE, "nothing is left to undo");
    tui_snap_free(free_run);
    tui_snap_free(edited);
    tui_snap_free(undone);
    tui_snap_free(nothing);
    tui_work_free(w);
}

TEST(view_work_breaks_and_cancels) {
    struct tui_work *w = open_work();
    REQUIRE(w);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" }));
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_BREAK, .text = "blk.*.pattern" }));
    const struct tui_snap *s = after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN });
    CHECK(s->stopped_at_break && s->n_breaks == 1 && !strcmp(s->list->step[s->where.step].name, "blk.0.pattern"));
    tui_snap_free(s);
    s = after(w, (struct tui_cmd){ .kind = TUI_CMD_RUN });
    CHECK(!strcmp(s->list->step[s->where.step].name, "blk.1.pattern"));
    tui_snap_free(s);
    tui_snap_free(after(w, (struct tui_cmd){ .kind = TUI_CMD_BREAK, .text = "blk.*.pattern" }));
    tui_work_post(w, &(struct tui_cmd){ .kind = TUI_CMD_GENERATE, .n = 1000000 });      /* more than the context holds */
    usleep(2000);
    tui_work_cancel(w);
    tui_work_settle(w);
    s = after(w, (struct tui_cmd){ .kind = TUI_CMD_STEP, .n = -1 });
    CHECK(!s->err.code, "a cancelled run leaves no request behind: %s", s->err.msg);
    tui_snap_free(s);
    s = after(w, (struct tui_cmd){ .kind = TUI_CMD_BREAK, .text = "no.such.step" });
    CHECK(s->err.code == CUT_EUSAGE && s->n_breaks == 0);
    tui_snap_free(s);
    tui_work_free(w);
}
