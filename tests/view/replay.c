/* Replayed keys against golden screens: tests/view/NAME.keys gives NAME.screen, in ASCII and without colour (with `roles`
 * in the script, the colour roles too), on a synthetic model whose every weight follows from a seed.
 *
 * The labs are those of tests/fixtures/labs, the learner's files lie in a scratch folder, and the editor is a script there.
 *
 * After a change that is meant to be seen: CUT_UPDATE=1 build/test-tui view_, and read the difference. */
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"
#include "tui/app.h"

static struct cut_model *small_model(void) {
    static const char *const args[] = { "dim=64", "ffn=128", "layers=3", "heads=4", "kv_heads=2", "vocab=300" };
    const char *path = test_tmp("view.gguf");
    struct cut_model *m = NULL;
    struct cut_err err = { 0 };
    if (cut_synth(path, "llama", args, 6, &err) || cut_model_open(&m, path, 0, &err)) printf("    %s\n", err.msg);
    return m;
}

/* The first line of a script: "# 80x24 theme the prompt". */
static bool read_setup(const char *script, int *w, int *h, char theme[16], char prompt[128]) {
    return sscanf(script, "# %dx%d %15s %127[^\n]", w, h, theme, prompt) >= 3;
}

/* A home folder in which no lab was opened yet. */
static void fresh_home(void) {
    static const char *const files[] = {
        ".local/share/cutaway/labs/0.1.lua", ".local/share/cutaway/labs/0.1.lua.old", ".local/share/cutaway/labs/0.3.lua",
        ".local/state/cutaway/labs", ".local/state/cutaway/bench/0001.json",
    };
    const char *tmp = test_tmp("home");
    char home[4096], path[8192];
    snprintf(home, sizeof home, "%s%s%s", tmp[0] == '/' ? "" : getcwd(path, sizeof path), tmp[0] == '/' ? "" : "/", tmp);
    mkdir(home, 0777);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", home, files[i]);
        unlink(path);
    }
    setenv("HOME", home, 1);
    setenv("VISUAL", "sh tests/fixtures/labs/editor.sh", 1);
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_STATE_HOME");
    unsetenv("XDG_CACHE_HOME");
}

static char *replay(const char *script, size_t *len) {
    int w, h;
    char theme[16], prompt[128] = "", *out = NULL;
    struct cut_err err = { 0 };
    struct tui_work *work;
    if (!read_setup(script, &w, &h, theme, prompt)) return NULL;
    struct cut_model *m = small_model();
    struct tui_work_opts o = { .n_ctx = 64, .threads = 1, .tier = CUT_TIER_REF };
    if (!m || tui_work_new(&work, m, &o, &err)) return NULL;
    FILE *f = open_memstream(&out, len);
    struct tui_term *t = tui_term_open_test(script, w, h, false, f);
    struct tui_app_opts a = { .ascii = true, .scheme = tui_scheme_by_name(theme), .prompt = *prompt ? prompt : NULL,
                              .labs = "tests/fixtures/labs", .models = "build/models" };
    fresh_home();
    tui_app_run(t, work, &a, NULL);
    t->class->close(t);
    tui_work_free(work);
    fclose(f);
    return out;
}

/* Name the first line that differs. */
static void compare(const char *name, const char *want, const char *got) {
    int line = 1;
    while (*want && *got) {
        size_t a = strcspn(want, "\n"), b = strcspn(got, "\n");
        if (a != b || memcmp(want, got, a)) break;
        want += a + (want[a] == '\n');
        got += b + (got[b] == '\n');
        line++;
    }
    if (*want || *got)
        test_fail(name, line, "the screen differs\n      want %.*s\n      got  %.*s", (int)strcspn(want, "\n"), want,
                  (int)strcspn(got, "\n"), got);
}

TEST(view_replayed_keys) {
    glob_t g;
    REQUIRE(!glob("tests/view/*.keys", 0, NULL, &g), "run the tests from the repository's folder");
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char golden[512];
        size_t n, len = 0, want_len;
        char *script = test_read(g.gl_pathv[i], &n), *got = script ? replay(script, &len) : NULL;
        CHECK(got, "%s: the first line must read: # WxH theme prompt", g.gl_pathv[i]);
        if (got) {
            snprintf(golden, sizeof golden, "%.*s.screen", (int)(strlen(g.gl_pathv[i]) - 5), g.gl_pathv[i]);
            if (getenv("CUT_UPDATE")) {
                FILE *f = fopen(golden, "w");
                if (f) fwrite(got, 1, len, f), fclose(f);
            }
            char *want = test_read(golden, &want_len);
            CHECK(want, "%s is missing: CUT_UPDATE=1 writes it", golden);
            if (want) compare(golden, want, got);
            free(want);
        }
        free(got);
        free(script);
    }
    globfree(&g);
}
