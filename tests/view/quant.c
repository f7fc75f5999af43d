/* The comparison of builds: what the screen computes for itself, and what the worker answers, also to what cannot be. */
#include <math.h>
#include <unistd.h>

#include "tests/test.h"
#include "tui/view/quant.h"

/* ---- pure parts */

static void check_lines(struct quant_flow *f, int w, const char *want) {
    char got[256] = "";
    quant_flow_break(f, w);
    for (int i = 0; i < f->n_lines; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s|", f->line[i].to - f->line[i].from, f->text + f->line[i].from);
    CHECK(!strcmp(got, want), "%d columns: \"%s\", want \"%s\"", w, got, want);
}

TEST(view_quant_text_breaks_at_blanks) {
    struct quant_flow f = { 0 };
    check_lines(&f, 10, "|");
    quant_flow_add(&f, "The ball", 0);
    quant_flow_add(&f, " was", 1);
    quant_flow_add(&f, " red.\nWho", 2);
    check_lines(&f, 8, "The ball|was red.|Who|");
    check_lines(&f, 12, "The ball was|red.|Who|");
    check_lines(&f, 3, "The|bal|l|was|red|.|Who|");
    quant_flow_break(&f, 8);
    CHECK(quant_flow_line_of(&f, 0) == 0 && quant_flow_line_of(&f, 1) == 1 && quant_flow_line_of(&f, 2) == 2);
    CHECK(quant_flow_line_of(&f, 3) == -1);
    quant_flow_done(&f);
    quant_flow_add(&f, "\xc3\xa4\xc3\xb6\xc3\xbc", 0);         /* three letters of two bytes */
    check_lines(&f, 2, "\xc3\xa4\xc3\xb6|\xc3\xbc|");
    quant_flow_done(&f);
}

TEST(view_quant_levels_and_axes) {
    static const float kl[] = { NAN, 0, 9e-5f, 2e-4f, 5e-3f, 0.05f, 0.5f, 1, 20 };
    static const int level[] = { -1, 0, 0, 1, 2, 3, 4, 5, 5 };
    for (size_t i = 0; i < sizeof kl / sizeof *kl; i++) CHECK(quant_kl_level(kl[i]) == level[i], "%g: %d", (double)kl[i], quant_kl_level(kl[i]));
    CHECK(fabs(quant_round_up(0.0116) - 0.02) < 1e-12 && fabs(quant_round_up(0.2) - 0.2) < 1e-12 && fabs(quant_round_up(730) - 1000) < 1e-9);
    static const float error[] = { 0.1f, 0.11f, 0.3f, 0.35f }, first[] = { 0.2f, 0.1f };
    CHECK(quant_jump(error, 4) == 2 && quant_jump(first, 2) == 0);
}

TEST(view_quant_budgets) {
    static const struct { const char *text; uint64_t want; } t[] = {
        { "2", 2097152 }, { "1.5 MiB", 1572864 }, { "900KiB", 921600 }, { "900 k", 921600 }, { "1G", 1073741824 }, { "40%", 400 }, { " 50 % ", 500 },
        { "", 0 }, { "x", 0 }, { "-3", 0 }, { "0", 0 }, { "3 apples", 0 }, { "%", 0 }, { "1e300", 0 }, { "nan", 0 }, { "5%M", 0 },
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        CHECK(quant_parse_budget(t[i].text, 1000) == t[i].want, "\"%s\": %llu", t[i].text, (unsigned long long)quant_parse_budget(t[i].text, 1000));
}

/* A q4_0 block: byte 2 + j has weight j in its low nibble and weight j + 16 in its high one; the first two bytes are the scale. */
TEST(view_quant_roles_of_nibbles) {
    uint8_t block[18] = { 0, 0x3c };
    struct cut_block_element e;
    REQUIRE(cut_block_element(CUT_Q4_0, block, 3, &e));
    for (int nibble = 0; nibble < 36; nibble++) {
        int want = nibble < 4 ? CUT_BITS_SCALE : nibble == 2 * (2 + 3) + 1 ? CUT_BITS_Q : -1;
        CHECK(quant_nibble_role(&e, nibble) == want, "nibble %d", nibble);
    }
    REQUIRE(cut_block_element(CUT_Q4_0, block, 19, &e));
    CHECK(quant_nibble_role(&e, 10) == CUT_BITS_Q && quant_nibble_role(&e, 11) == -1);
}

/* ---- the worker */

static struct tui_work *open_work(const char *name) {
    static const char *const args[] = { "dim=64", "ffn=128", "layers=3", "heads=4", "kv_heads=2", "vocab=300" };
    const char *path = test_tmp(name);
    struct cut_err err = { 0 };
    struct cut_model *m;
    struct tui_work *w = NULL;
    struct tui_work_opts o = { .n_ctx = 64, .threads = 1, .tier = CUT_TIER_REF };
    if (cut_synth(path, "llama", args, 6, &err) || cut_model_open(&m, path, 0, &err) || tui_work_new(&w, m, &o, &err)) printf("    %s\n", err.msg);
    return w;
}

static const struct tui_snap *ask(struct tui_work *w, struct tui_cmp_ask a, const char *text) {
    tui_work_post(w, &(struct tui_cmd){ .kind = TUI_CMD_COMPARE, .cmp = a, .text = text });
    tui_work_settle(w);
    return tui_work_get(w);
}

/* A comparison with q4_0 that has read the prompt and `n` tokens. */
static struct tui_work *compared(const char *name, int n) {
    struct tui_work *w = open_work(name);
    if (!w) return NULL;
    tui_work_post(w, &(struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = "a tin can" });
    tui_snap_free(ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_BEGIN }, "q4_0"));
    tui_snap_free(ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_PLAY, .n = n }, NULL));
    return w;
}

static void look(struct tui_work *w, int tensor, int64_t weight) {
    struct tui_watch watch = { .step = -1, .pos = -1, .row = -1, .col = -1, .attn_layer = -1, .attn_pos = -1,
                               .cmp = { .pos = 5, .build = 1, .tensor = tensor, .weight = weight } };
    tui_work_watch(w, &watch);
    tui_work_settle(w);
}

TEST(view_quant_builds_and_refusals) {
    struct tui_work *w = compared("quant.gguf", 4);
    REQUIRE(w);
    const struct tui_snap *s = tui_work_get(w);
    REQUIRE(s->cmp && s->cmp->n_builds == 2 && s->cmp->build[1].point, "%s", s->err.msg);
    CHECK(s->cmp->n_tokens == s->cmp->n_prompt + 5 && s->cmp->to_go == 0, "%d of %d", s->cmp->n_tokens, s->cmp->n_prompt);
    CHECK(s->cmp->build[1].sum.bytes < s->cmp->build[0].sum.bytes / 6 && s->cmp->build[0].sum.damage.kl == 0);
    double sum = 0;
    int n = 0;
    for (int i = 1; i < s->cmp->n_tokens; i++)
        if (!isnan(s->cmp->build[1].point[i].kl)) sum += (double)s->cmp->build[1].point[i].kl, n++;
    CHECK(n == (int)s->cmp->build[1].sum.damage.tokens && fabs(sum / n - s->cmp->build[1].sum.damage.kl) < 1e-6 && sum > 0);
    tui_snap_free(s);

    /* No model, another vocabulary, no such format: said, and nothing is lost. */
    static const char *const other[] = { "dim=64", "ffn=64", "layers=1", "heads=4", "kv_heads=2", "vocab=310" };
    const char *path = test_tmp("other.gguf");
    REQUIRE(!cut_synth(path, "llama", other, 6, NULL));
    const char *bad[] = { "no/such/file.gguf", "tests/view/quant.c", "q6_K", path };
    const char *why[] = { "no/such/file.gguf", "quant.c", "q6_K", "another vocabulary" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_ADD }, bad[i]);
        CHECK(s->err.code && strstr(s->err.msg, why[i]), "%s: \"%s\"", bad[i], s->err.msg);
        CHECK(s->cmp->n_builds == 2 && s->cmp->n_tokens == s->cmp->n_prompt + 5, "nothing is lost");
        tui_snap_free(s);
    }
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_ADD }, test_tmp("quant.gguf"));      /* the very file: no difference at all */
    CHECK(!s->err.code && s->cmp->n_builds == 3 && s->cmp->build[2].sum.damage.kl_max == 0 && s->cmp->build[2].parted < 0, "%s", s->err.msg);
    tui_snap_free(s);
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_DROP, .n = 0 }, NULL);
    CHECK(s->err.code == CUT_EUSAGE && s->cmp->n_builds == 3, "the reference stays");
    tui_snap_free(s);
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_DROP, .n = 1 }, NULL);
    CHECK(!s->err.code && s->cmp->n_builds == 2 && s->cmp->build[1].sum.damage.kl_max == 0);
    tui_snap_free(s);
    tui_work_free(w);
}

/* A nibble changed: other bits, another KL; taken back: the same as before, to the bit. */
TEST(view_quant_edit_and_undo) {
    struct tui_work *w = compared("quant.gguf", 4);
    REQUIRE(w);
    const struct tui_snap *before = tui_work_get(w);
    int q = 0;
    while (strcmp(before->cmp->tensor[q].name, "blk.0.attn_q")) q++;
    tui_snap_free(before);
    look(w, q, 100);
    before = tui_work_get(w);
    const struct tui_cmp_block *b = before->cmp->block;
    REQUIRE(b && b->type == CUT_Q4_0 && b->n == 32 && b->block == 100 / 32);
    for (int i = 0; i < b->n; i++) CHECK(b->el[i].value == b->el[i].scale * (float)b->el[i].q, "weight %d", i);
    CHECK(before->cmp->layer_pos == 5 && before->cmp->build[1].layer && before->cmp->build[1].layer[2] > 0);
    int now = b->raw[0] & 15;
    const struct tui_snap *edited = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_POKE, .n = 1, .at = 2, .nibble = (b->raw[1] >> 4) ^ 8 }, NULL);
    CHECK(edited->cmp->build[1].n_edits == 1 && edited->cmp->block->poked[0] == 2 && (edited->cmp->block->raw[0] & 15) == now);
    CHECK(edited->cmp->block->el[1].scale == -b->el[1].scale, "the sign of the scale");
    CHECK(edited->cmp->build[1].sum.damage.kl != before->cmp->build[1].sum.damage.kl);
    const struct tui_snap *undone = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_UNDO, .n = 1 }, NULL);
    CHECK(undone->cmp->build[1].n_edits == 0 && !memcmp(undone->cmp->block->raw, b->raw, 18));
    CHECK(undone->cmp->build[1].sum.damage.kl == before->cmp->build[1].sum.damage.kl);

    /* A retype throws away the pokes of its tensor, and its undoing brings them back. */
    tui_snap_free(ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_POKE, .n = 1, .at = 2, .nibble = (b->raw[1] >> 4) ^ 8 }, NULL));
    const struct tui_snap *other = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_RETYPE, .n = 1, .tensor = q, .type = CUT_Q8_0 }, NULL);
    CHECK(other->cmp->build[1].n_edits == 2 && other->cmp->tensor[q].type[1] == CUT_Q8_0 && other->cmp->block->type == CUT_Q8_0);
    CHECK(other->cmp->tensor[q + 1].type[1] == CUT_Q4_0, "the rest untouched");
    const struct tui_snap *back = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_UNDO, .n = 1 }, NULL);
    CHECK(!memcmp(back->cmp->block->raw, edited->cmp->block->raw, 18) && back->cmp->build[1].sum.damage.kl == edited->cmp->build[1].sum.damage.kl);
    const struct tui_snap *refused = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_RETYPE, .n = 0, .tensor = q, .type = CUT_Q8_0 }, NULL);
    CHECK(refused->err.code == CUT_EUSAGE, "the reference stays as it is");
    tui_snap_free(before), tui_snap_free(edited), tui_snap_free(undone), tui_snap_free(other), tui_snap_free(back), tui_snap_free(refused);
    tui_work_free(w);
}

TEST(view_quant_recipe_keeps_its_budget) {
    struct tui_work *w = compared("quant.gguf", 4);
    REQUIRE(w);
    struct tui_cmp_ask recipe = { .op = TUI_CMP_RECIPE, .low = CUT_Q4_0, .budget = 110000 };
    const struct tui_snap *s = ask(w, recipe, "q8_0");
    REQUIRE(!s->err.code && s->cmp->n_steps > 3, "%s", s->err.msg);
    for (int i = 0; i < s->cmp->n_steps; i++) CHECK(s->cmp->step[i].bytes <= 110000 && s->cmp->step[i].measured, "step %d", i);
    CHECK(s->cmp->step[s->cmp->n_steps - 1].kl < s->cmp->step[0].kl, "it helps");
    int steps = s->cmp->n_steps, last = s->cmp->step[steps - 1].tensor, out = -1;
    for (int i = 0; i < s->cmp->n_tensors && out < 0; i++) {           /* the largest is not in it and does not fit */
        bool in = false;
        for (int k = 0; k < steps; k++) in = in || s->cmp->step[k].tensor == i;
        if (!in && s->cmp->tensor[i].rows * s->cmp->tensor[i].cols > 64 * 64) out = i;
    }
    tui_snap_free(s);
    if (out >= 0) {
        s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_RAISE, .tensor = out, .type = CUT_F32 }, NULL);
        CHECK(s->err.code == CUT_EUSAGE && strstr(s->err.msg, "budget") && s->cmp->n_steps == steps, "\"%s\"", s->err.msg);
        tui_snap_free(s);
    }
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_RAISE, .tensor = last, .type = CUT_Q4_0 }, NULL);
    CHECK(!s->err.code && s->cmp->n_steps == steps - 1, "taken out by hand: %s", s->err.msg);
    tui_snap_free(s);
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_RECIPE_UNDO }, NULL);
    CHECK(s->cmp->n_steps == steps && s->cmp->step[steps - 1].tensor == last);
    tui_snap_free(s);

    const char *path = test_tmp("recipe.txt");
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_EXPORT }, path);
    size_t n, lines = 0;
    char *text = test_read(path, &n);
    CHECK(!s->err.code && text && !strncmp(text, "--tensor-type ", 14), "%s", s->err.msg);
    for (size_t i = 0; text && i < n; i++) lines += text[i] == '\n';
    CHECK(lines == (size_t)steps - 1, "%zu lines of %d tensors", lines, steps - 1);
    free(text);
    tui_snap_free(s);
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_EXPORT }, "no/such/folder/recipe.txt");
    CHECK(s->err.code == CUT_ESYSTEM && strstr(s->err.msg, "no/such/folder"), "\"%s\"", s->err.msg);
    tui_snap_free(s);
    s = ask(w, (struct tui_cmp_ask){ .op = TUI_CMP_RECIPE_BUILD }, NULL);
    CHECK(s->cmp->n_builds == 3 && s->cmp->build[2].sum.bytes <= 110000 && s->cmp->build[2].sum.damage.kl < s->cmp->build[1].sum.damage.kl);
    tui_snap_free(s);
    recipe.budget = 1000;
    s = ask(w, recipe, "q8_0");
    CHECK(s->err.code == CUT_EUSAGE && s->cmp->n_steps == steps, "\"%s\"", s->err.msg);
    tui_snap_free(s);
    tui_work_free(w);
}

/* Other commands are answered between slices, and a stop keeps what is there. */
TEST(view_quant_stops_between_tensors) {
    struct tui_work *w = compared("quant.gguf", 40);
    REQUIRE(w);
    struct tui_cmp_ask swaps = { .op = TUI_CMP_SWAPS, .type = CUT_Q8_0, .layer = -1 };
    tui_work_post(w, &(struct tui_cmd){ .kind = TUI_CMD_COMPARE, .cmp = swaps });
    const struct tui_snap *s = tui_work_get(w);
    while (!s->cmp->n_swapped) {
        tui_snap_free(s);
        usleep(200);
        s = tui_work_get(w);
    }
    tui_snap_free(s);
    tui_work_cancel(w);
    tui_work_settle(w);
    s = tui_work_get(w);
    int n = s->cmp->n_swapped;
    CHECK(n > 0 && !s->cmp->job[0], "%d measured, job \"%s\"", n, s->cmp->job);
    tui_snap_free(s);
    s = ask(w, swaps, NULL);
    CHECK(s->cmp->n_swapped == 23 && n <= 23, "the rest follows: %d", s->cmp->n_swapped);
    tui_snap_free(s);
    tui_work_free(w);
}
