/* inspect.c - `cutaway inspect` and `cutaway synth`: what they print and the status they return. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/test.h"
#include "tui/cli/cli.h"

/* Run a command with its output (fd 1 and 2) in a file, or on the device `to`; the text is the caller's to free. */
static char *run(int *status, const char *to, int (*command)(int, char **), int argc, const char *const *argv) {
    const char *path = to ? to : test_tmp("cli.out");
    char *args[8] = { 0 };
    int saved[2] = { dup(1), dup(2) }, fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    fflush(stdout);
    fflush(stderr);
    dup2(fd, 1);
    dup2(fd, 2);
    close(fd);
    for (int i = 0; i < argc; i++) args[i] = strdup(argv[i]);
    *status = command(argc, args);
    fflush(stdout);
    clearerr(stdout);
    for (int i = 0; i < argc; i++) free(args[i]);
    for (int i = 0; i < 2; i++) {
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    if (to) return NULL;
    size_t size;
    char *text = test_read(path, &size);
    unlink(path);
    return text;
}
#define RUN(status, command, ...) \
    run(status, NULL, command, (int)(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), (const char *[]){ __VA_ARGS__ })

/* A file with a long, rude string and a small tensor. */
static const char *rude_file(void) {
    static char path[512];
    static const float data[64];
    struct cut_gguf_writer *w = NULL;
    char text[600];
    snprintf(path, sizeof path, "%s", test_tmp("rude.gguf"));
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    memcpy(text, "a\x1B[31m\nb", 8);
    if (cut_gguf_writer_new(&w, NULL) || cut_gguf_put_str(w, "general.name", text, NULL) ||
        cut_gguf_put_f32(w, "eps", 1e-6f, NULL) || cut_gguf_put_bool(w, "yes", true, NULL) ||
        cut_gguf_put_strs(w, "words", (const char *[]){ "one", "two", "three" }, 3, NULL) ||
        cut_gguf_put_raw(w, "list", CUT_KV_ARRAY, CUT_KV_I16, 2, (int16_t[]){ -7, 8 }, 4, NULL) ||
        cut_gguf_put_tensor(w, "blk.0.w", CUT_F32, 2, (uint64_t[]){ 32, 2 }, data, NULL) || cut_gguf_write(w, path, NULL, NULL, NULL))
        path[0] = 0;
    cut_gguf_writer_free(w);
    return path;
}

TEST(cli_inspect_text) {
    int status;
    const char *path = rude_file();
    char *out = RUN(&status, cli_inspect, "inspect", path);
    REQUIRE(out);
    CHECK(status == 0 && strstr(out, "rude.gguf: GGUF version 3, "), "%s", out);
    CHECK(strstr(out, "  general.name  string     a\\x1b[31m\\nbxxxx") && strstr(out, "xxx...\n"), "%s", out);
    CHECK(!strchr(out, '\x1B'));
    CHECK(strstr(out, "  eps           f32        1e-06\n") && strstr(out, "  yes           bool       true\n"), "%s", out);
    CHECK(strstr(out, "  words         string[3]  \"one\", \"two\", \"three\"\n"), "%s", out);
    CHECK(strstr(out, "  list          i16[2]     -7, 8\n"), "%s", out);
    CHECK(strstr(out, "  0  f32   32 x 2 ") && strstr(out, "    256  blk.0.w\n"), "%s", out);
    CHECK(strstr(out, "1 tensor, 64 weights in 256 bytes: 32.00 bits a weight\n"), "%s", out);
    for (char *line = out, *end; (end = strchr(line, '\n')); line = end + 1) CHECK(end - line <= 120, "%.*s", (int)(end - line), line);
    free(out);
    unlink(path);
}

TEST(cli_inspect_json) {
    int status;
    const char *path = rude_file();
    char *out = RUN(&status, cli_inspect, "inspect", "--json", "--no-mmap", path);
    REQUIRE(out);
    CHECK(status == 0 && strstr(out, "\"mapped\": false"), "%s", out);
    CHECK(strstr(out, "\"value\": \"a\\u001b[31m\\nbxxx") && strstr(out, "xxx\"\n"), "%s", out);
    CHECK(strlen(strstr(out, "\"value\": \"a")) > 599);
    CHECK(strstr(out, "\"value\": 1e-06") && strstr(out, "\"value\": [-7, 8]"), "%s", out);
    CHECK(strstr(out, "\"value\": [\"one\", \"two\", \"three\"]") && strstr(out, "\"shape\": [32, 2]"), "%s", out);
    free(out);
    unlink(path);
}

TEST(cli_inspect_statuses) {
    int status;
    char *out = RUN(&status, cli_inspect, "inspect", "--help");
    CHECK(status == 0 && out && !strncmp(out, "usage: cutaway inspect", 22), "%s", out);
    free(out);
    free(RUN(&status, cli_inspect, "inspect"));
    CHECK(status == 1);
    free(RUN(&status, cli_inspect, "inspect", "a", "b"));
    CHECK(status == 1);
    out = RUN(&status, cli_inspect, "inspect", "--jsn", "a");
    CHECK(status == 1 && out && strstr(out, "--jsn"), "%s", out);
    free(out);
    out = RUN(&status, cli_inspect, "inspect", "no-such.gguf");
    CHECK(status == 2 && out && strstr(out, "cutaway: no-such.gguf: No such file"), "%s", out);
    free(out);
    if (access("/dev/full", W_OK)) SKIP("no /dev/full");
    const char *path = rude_file();
    run(&status, "/dev/full", cli_inspect, 2, (const char *[]){ "inspect", path });
    CHECK(status == CLI_FILE, "%d", status);
    run(&status, "/dev/full", cli_inspect, 3, (const char *[]){ "inspect", "--json", path });
    CHECK(status == CLI_FILE, "%d", status);
    unlink(path);
}

TEST(cli_synth_statuses) {
    int status;
    const char *path = test_tmp("cli-synth.gguf");
    struct cut_gguf *g = NULL;
    char *out = RUN(&status, cli_synth, "synth", path, "llama", "dim=64", "ffn=64");
    CHECK(status == 0 && out && !*out, "%s", out);
    free(out);
    CHECK(!cut_gguf_open(&g, path, 0, NULL));
    cut_gguf_close(g);
    unlink(path);
    out = RUN(&status, cli_synth, "synth", path, "llama", "dim=abc");
    CHECK(status == 1 && out && strstr(out, "dim=abc") && access(path, F_OK), "%s", out);
    free(out);
    out = RUN(&status, cli_synth, "synth", path, "gpt2");
    CHECK(status == 1 && out && strstr(out, "\"gpt2\": not supported yet"), "%s", out);
    free(out);
    free(RUN(&status, cli_synth, "synth", path));
    CHECK(status == 1);
    free(RUN(&status, cli_synth, "synth"));
    CHECK(status == 1);
    out = RUN(&status, cli_synth, "synth", "-h");
    CHECK(status == 0 && out && !strncmp(out, "usage: cutaway synth", 20), "%s", out);
    free(out);
}
