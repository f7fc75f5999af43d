/* gguf.c - `cutaway gguf`: change a file's metadata, never its tensors' bytes. */
#include <string.h>

#include "tui/cli/cli.h"

static int kv_type(const char *name, int *out) {
    for (int t = 0; t < CUT_KV_COUNT; t++)
        if (t != CUT_KV_ARRAY && !strcmp(name, cut_kv_type_name((enum cut_kv_type)t))) {
            *out = t;
            return CLI_GO;
        }
    if (!strcmp(name, "str")) *out = CUT_KV_STRING;
    else return cli_usage("gguf", "--type %s: must be u8, i8, u16, i16, u32, i32, f32, bool, string, u64, i64 or f64", name);
    return CLI_GO;
}

static const struct verb { const char *name; enum cut_edit_kv_op op; int args; const char *needs; } verbs[] = {
    { "set", CUT_KV_SET, 4, "FILE, KEY and VALUE" },
    { "rm", CUT_KV_REMOVE, 3, "FILE and KEY" },
    { "rename", CUT_KV_RENAME, 4, "FILE, KEY and NEW" },
    { "rename-tensor", CUT_KV_RENAME_TENSOR, 4, "FILE, NAME and NEW" },
};

static void say(const struct cut_edit_kv *e, const char *before, const char *after) {
    char key[160], name[160];
    cut_utf8_escape(key, sizeof key, e->key, strlen(e->key));
    if (e->op == CUT_KV_RENAME || e->op == CUT_KV_RENAME_TENSOR) {
        cut_utf8_escape(name, sizeof name, e->value, strlen(e->value));
        printf("%s -> %s\n", key, name);
    } else {
        printf("%s: %s -> %s\n", key, before[0] ? before : "(none)", after[0] ? after : "(none)");
    }
}

int cli_gguf(int argc, char **argv) {
    const char *args[4] = { 0 }, *out = NULL, *type = NULL;
    struct cut_edit_kv e = { .type = -1 };
    int n_args, status;
    const struct cli_opt opts[] = {
        { 0, "type", "T", CLI_TEXT, &type, "type of the value: u32, i32, f32, bool, str, ... (default: as it is, or as it looks)", 0, 0 },
        { 'o', "out", "FILE", CLI_TEXT, &out, "write to another file and leave this one alone", 0, 0 },
        { 0, "force", NULL, CLI_FLAG, &e.force, "also what the model needs to run", 0, 0 },
    };
    const struct cli_spec spec = {
        "gguf", "set FILE KEY VALUE [--type T]\n       cutaway gguf rm FILE KEY\n       cutaway gguf rename FILE KEY NEW\n"
        "       cutaway gguf rename-tensor FILE NAME NEW",
        "Change a GGUF file's metadata. The tensors are copied byte for byte; the file is replaced when the new one is whole.\n"
        "See what is there with `cutaway inspect`. A value that starts with - goes after --.",
        opts, sizeof opts / sizeof *opts, 1, 4,
    };
    if ((status = cli_parse(&spec, argc, argv, args, &n_args)) != CLI_GO) return status;
    const struct verb *v = NULL;
    struct cli_guess g = { .word = args[0] };
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (!strcmp(args[0], verbs[i].name)) v = &verbs[i];
        cli_guess_try(&g, verbs[i].name);
    }
    if (!v && g.best) return cli_usage("gguf", "\"%s\" is nothing it does; did you mean \"%s\"?", args[0], g.best);
    if (!v) return cli_usage("gguf", "\"%s\" is nothing it does: set, rm, rename or rename-tensor", args[0]);
    if (n_args != v->args) return cli_usage("gguf", "%s: %s are needed", v->name, v->needs);
    if (type && v->op != CUT_KV_SET) return cli_usage("gguf", "--type is for set");
    if (type && (status = kv_type(type, &e.type)) != CLI_GO) return status;
    char before[512], after[512];
    struct cut_err err = { 0 };
    e.op = v->op;
    e.key = args[2];
    e.value = args[3];
    if (cut_gguf_edit(args[1], out ? out : args[1], &e, before, after, sizeof before, &err)) return cli_error(&err);
    say(&e, before, after);
    return cli_flush_stdout();
}
