/* lua.c - `cutaway lua`: a script with the same API and the same sandbox as the labs, without the screen. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lua/host.h"
#include "tui/cli/cli.h"

enum { MAX_SCRIPT = 4 << 20 };

static _Atomic(struct cut_lua *) running;

static void on_interrupt(int sig) {
    (void)sig;
    struct cut_lua *h = atomic_load(&running);
    if (h) cut_lua_cancel(h);
}

/* The first Ctrl-C asks, the second kills. */
static void catch_interrupt(struct cut_lua *h) {
    atomic_store(&running, h);
    struct sigaction act = { .sa_handler = h ? on_interrupt : SIG_DFL, .sa_flags = h ? (int)SA_RESETHAND : 0 };
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
}

char *cli_read_text(const char *path, size_t *len, struct cut_err *err) {
    FILE *f = !strcmp(path, "-") ? stdin : fopen(path, "rb");
    if (!f) return cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(errno)), NULL;
    size_t n = 0, cap = 1 << 16;
    char *text = malloc(cap);
    while (text && (n += fread(text + n, 1, cap - n - 1, f)) == cap - 1) {
        char *more = cap <= MAX_SCRIPT ? realloc(text, cap *= 2) : NULL;
        if (!more) free(text);
        text = more;
    }
    bool failed = ferror(f);
    int why = errno;
    if (f != stdin) fclose(f);
    if (!text) return cut_fail(err, CUT_EFILE, "%s: more than %d bytes is no script", path, MAX_SCRIPT), NULL;
    if (failed) {
        free(text);
        return cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(why)), NULL;
    }
    text[n] = 0;
    *len = n;
    return text;
}

void cli_models_folder(char *out, size_t size) {
    snprintf(out, size, "%s", cli_bundled_model());
    char *slash = strrchr(out, '/');
    if (slash) *slash = 0;
}

/* ---- output: as it comes, or gathered for --json */

struct output { bool gather, failed; char *text; size_t n; };

static void take_output(void *user, const char *text, size_t len) {
    struct output *o = user;
    if (!o->gather) {
        fwrite(text, 1, len, stdout);
        fflush(stdout);
        return;
    }
    char *more = realloc(o->text, o->n + len + 1);
    if (!more) {
        o->failed = true;
        return;
    }
    memcpy(more + o->n, text, len);
    o->text = more;
    o->n += len;
}

static void print_json(const struct cut_lua *h, const struct output *o, enum cut_status status) {
    static const char *const stopped[] = { "", "instructions", "time", "cancelled" };
    struct cut_lua_usage u = cut_lua_usage(h);
    struct cut_json j;
    cut_json_init(&j, stdout);
    cut_json_open(&j, NULL, '{');
    cut_json_bool(&j, "ok", status == CUT_OK);
    cut_json_str(&j, "output", o->text ? o->text : "", o->n);
    if (status) {
        cut_json_str(&j, "error", cut_lua_error(h), strlen(cut_lua_error(h)));
        cut_json_str(&j, "traceback", cut_lua_traceback(h), strlen(cut_lua_traceback(h)));
        const char *why = stopped[cut_lua_stopped(h)];
        cut_json_str(&j, "stopped", why, strlen(why));
    }
    cut_json_uint(&j, "instructions", u.instructions);
    cut_json_uint(&j, "peak_memory", u.peak);
    cut_json_close(&j, '}');
    putchar('\n');
}

static int exit_status(const struct cut_lua *h, enum cut_status status) {
    if (cut_lua_stopped(h) == CUT_LUA_STOP_CANCEL) return CLI_INTERRUPTED;
    return status == CUT_OK ? CLI_OK : status == CUT_ENOMEM ? CLI_NOMEM : CLI_USAGE;
}

static int run_script(const char *path, const char *const *args, int n_args, struct cut_lua_opts *opts, bool json) {
    struct cut_err err = { 0 };
    struct output out = { .gather = json };
    struct cut_lua *h = NULL;
    size_t len;
    char *text = cli_read_text(path, &len, &err), folder[4096], models[4200];
    if (!text) return cli_error(&err);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    cli_models_folder(models, sizeof models);
    opts->print = take_output;
    opts->user = &out;
    opts->folder = folder;
    opts->models = models;
    opts->files = args;
    opts->n_files = n_args;
    int status;
    if (cut_lua_new(&h, opts, &err)) {
        status = cli_error(&err);
    } else {
        catch_interrupt(h);
        enum cut_status s = cut_lua_run(h, name, text, len, args, n_args, &err);
        catch_interrupt(NULL);
        if (json) print_json(h, &out, s);
        else if (s) fprintf(stderr, "cutaway lua: %s\n%s\n", cut_lua_error(h), cut_lua_traceback(h));
        status = exit_status(h, s);
    }
    cut_lua_free(h);
    free(text);
    free(out.text);
    int flushed = cli_flush_stdout();
    return status ? status : flushed;
}

/* FILE and what follows it belong to the script, options among them; ours stand before. */
static int split(int argc, char **argv) {
    static const char *const with_value[] = { "--model", "--limit-instructions", "--memory", "--seconds" };
    int i = 1;
    while (i < argc && argv[i][0] == '-' && argv[i][1]) {
        bool value = false;
        for (size_t k = 0; k < sizeof with_value / sizeof *with_value; k++) value |= !strcmp(argv[i], with_value[k]);
        if (!strcmp(argv[i++], "--")) break;
        if (value) i++;
    }
    return i < argc ? i : argc;
}

int cli_lua(int argc, char **argv) {
    bool json = false, headless = false;
    int memory = 64, n_args;
    float seconds = 0;
    struct cli_u64 limit = { 1000000000, false };
    struct cut_lua_opts lua = { 0 };
    const char *args[16];
    const struct cli_opt opts[] = {
        { 0, "model", "FILE", CLI_TEXT, &lua.model, "what cut.model.open() opens (default: the bundled one)", 0, 0 },
        { 0, "limit-instructions", "N", CLI_U64, &limit, "stop the script after N instructions (default 1e9)", 0, 0 },
        { 0, "memory", "MB", CLI_INT, &memory, "most memory for Lua", 1, 65536 },
        { 0, "seconds", "S", CLI_FLOAT, &seconds, "stop the script after S seconds (default 0: never)", 0, 1e9 },
        { 0, "headless", NULL, CLI_FLAG, &headless, "without the screen, as it always is so far", 0, 0 },
        { 0, "json", NULL, CLI_FLAG, &json, "print one JSON object: output, error, instructions, memory", 0, 0 },
    };
    const struct cli_spec spec = {
        "lua", "[options] FILE [ARGS]",
        "Run a Lua script on the engine: cut.model.open(), sessions, probes, tensors, as in the\n"
        "labs. The script cannot reach files, other programs or the network; it may open the\n"
        "bundled models by name, model files in its own folder, and those named in ARGS. ARGS\n"
        "are in the table arg. Exit status: 0, 1 an error in the script, 2 no such file, 3 out\n"
        "of memory, 130 interrupted.",
        opts, sizeof opts / sizeof *opts, 1, 1,
    };
    int at = split(argc, argv), own = at < argc ? at + 1 : argc;
    int status = cli_parse(&spec, own, argv, args, &n_args);
    if (status != CLI_GO) return status;
    lua.max_instructions = limit.value;
    lua.max_memory = (size_t)memory << 20;
    lua.max_seconds = (double)seconds;
    return run_script(args[0], (const char *const *)argv + own, argc - own, &lua, json);
}
