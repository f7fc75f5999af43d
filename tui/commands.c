/* commands.c - the command palette: what ':' understands. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "tui/app.h"

struct command {
    const char *name, *argument, *help;
    void (*run)(struct tui_app *app, const char *arg);
    void (*complete)(struct tui_app *app, const char *arg, struct tui_completions *out);
};

/* ---- what they do */

static void run_quit(struct tui_app *app, const char *arg) {
    (void)arg;
    tui_app_quit(app);
}

static void run_help(struct tui_app *app, const char *arg) {
    (void)arg;
    tui_app_help(app);
}

static void run_prompt(struct tui_app *app, const char *arg) {
    if (*arg) tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_PROMPT, .text = arg });
    else tui_app_ask_prompt(app);
}

static void run_open(struct tui_app *app, const char *arg) {
    if (*arg) tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_OPEN, .text = arg });
    else tui_app_say(app, TUI_BAD, ":open FILE needs the name of a GGUF file");
}

static void run_tokens(struct tui_app *app, const char *arg) {
    char *end;
    long n = *arg ? strtol(arg, &end, 10) : 16;
    if (*arg && (*end || n < 1 || n > 1000000))
        tui_app_say(app, TUI_BAD, ":tokens %.20s: a number from 1 to 1000000 is needed", arg);
    else tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_GENERATE, .n = (int)n });
}

/* ":break blk.*.scores" or ":break blk.*.scores 4.5" */
static void run_break(struct tui_app *app, const char *arg) {
    char pattern[64], rest;
    float above = 0;
    int n = sscanf(arg, "%63s %f %c", pattern, &above, &rest);
    if (n < 1 || n > 2) tui_app_say(app, TUI_BAD, ":break PATTERN [ABOVE]: a step name, * for any characters, and a magnitude");
    else tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_BREAK, .text = pattern, .above = above });
}

static void run_go(struct tui_app *app, const char *arg) {
    const struct tui_snap *s = tui_app_snap(app);
    for (int i = 0; s->list && i < s->list->n_steps; i++) {
        if (strcmp(s->list->step[i].name, arg)) continue;
        tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_STEP, .n = i + 1 - s->where.step });
        return;
    }
    tui_app_say(app, TUI_BAD, ":go %.60s: no such step; Tab completes their names", arg);
}

static void run_theme(struct tui_app *app, const char *arg) {
    if (!tui_app_set_scheme(app, arg)) tui_app_say(app, TUI_BAD, ":theme %.20s: dark, light, contrast or mono", arg);
}

static void run_ascii(struct tui_app *app, const char *arg) {
    bool off = !strcmp(arg, "off");
    if (*arg && !off && strcmp(arg, "on")) tui_app_say(app, TUI_BAD, ":ascii %.20s: on or off", arg);
    else if (!tui_app_set_ascii(app, !off)) tui_app_say(app, TUI_WARN, "this terminal's locale shows ASCII only");
}

static void run_reset(struct tui_app *app, const char *arg) {
    (void)arg;
    tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_RESET });
}

static void run_undo(struct tui_app *app, const char *arg) {
    (void)arg;
    tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_UNDO });
}

static void run_peaks(struct tui_app *app, const char *arg) {
    (void)arg;
    tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_PERF, .perf = { .op = TUI_PERF_PEAKS, .quick = !tui_app_times(app) } });
}

/* Threads divide work in this way, or by default. */
static void divide(struct tui_app *app, unsigned way, bool on) {
    struct tui_perf_ask ask = { .op = TUI_PERF_DIVIDE, .mask = way, .ways = on ? way : 0, .quick = !tui_app_times(app) };
    tui_app_post(app, &(struct tui_cmd){ .kind = TUI_CMD_PERF, .perf = ask });
}

static void run_reduce(struct tui_app *app, const char *arg) {
    bool split = !strcmp(arg, "split-k");
    if (!split && strcmp(arg, "rows")) { tui_app_say(app, TUI_BAD, ":reduce %.20s: rows or split-k", arg); return; }
    divide(app, TUI_PERF_SPLIT_K, split);
}

static void run_split(struct tui_app *app, const char *arg) {
    bool heads = !strcmp(arg, "attn=heads");
    if (!heads && strcmp(arg, "attn=groups")) { tui_app_say(app, TUI_BAD, ":split %.20s: attn=groups or attn=heads", arg); return; }
    divide(app, TUI_PERF_BY_HEADS, heads);
}

static void run_latency(struct tui_app *app, const char *arg) {
    struct tui_latency l = tui_app_latency(app);
    (void)arg;
    tui_app_say(app, TUI_TEXT, "key to frame: median %.2f ms, 99th percentile %.2f ms over %d keys",
                l.median * 1e3, l.p99 * 1e3, l.n);
}

/* ---- what they take */

static void complete_step(struct tui_app *app, const char *arg, struct tui_completions *out) {
    const struct tui_listing *l = tui_app_snap(app)->list;
    for (int i = 0; l && i < l->n_steps; i++)
        if (!strncmp(l->step[i].name, arg, strlen(arg))) tui_complete_add(out, "%s", l->step[i].name);
}

static void complete_scheme(struct tui_app *app, const char *arg, struct tui_completions *out) {
    (void)app;
    for (int i = 0; i < TUI_SCHEME_COUNT; i++) {
        const char *name = tui_scheme_name((enum tui_scheme)i);
        if (!strncmp(name, arg, strlen(arg))) tui_complete_add(out, "%s", name);
    }
}

static void complete_either(const char *a, const char *b, const char *arg, struct tui_completions *out) {
    if (!strncmp(a, arg, strlen(arg))) tui_complete_add(out, "%s", a);
    if (!strncmp(b, arg, strlen(arg))) tui_complete_add(out, "%s", b);
}

static void complete_reduce(struct tui_app *app, const char *arg, struct tui_completions *out) {
    (void)app;
    complete_either("rows", "split-k", arg, out);
}

static void complete_split(struct tui_app *app, const char *arg, struct tui_completions *out) {
    (void)app;
    complete_either("attn=groups", "attn=heads", arg, out);
}

static void complete_file(struct tui_app *app, const char *arg, struct tui_completions *out) {
    const char *slash = strrchr(arg, '/'), *name = slash ? slash + 1 : arg;
    char folder[4096];
    (void)app;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - arg + 1) : 0, arg);
    DIR *d = opendir(*folder ? folder : ".");
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (strncmp(e->d_name, name, strlen(name)) || (e->d_name[0] == '.' && !*name)) continue;
        tui_complete_add(out, "%s%s%s", folder, e->d_name, e->d_type == DT_DIR ? "/" : "");
    }
    closedir(d);
}

static const struct command commands[] = {
    { "prompt", "TEXT", "begin with this text", run_prompt, NULL },
    { "tokens", "N", "generate N tokens, each the most likely", run_tokens, NULL },
    { "go", "STEP", "step to just after this step", run_go, complete_step },
    { "break", "PATTERN [X]", "stop before these steps (after, when |x| > X)", run_break, complete_step },
    { "undo", "", "take back the last edit", run_undo, NULL },
    { "reset", "", "a new session: no tokens, breakpoints, edits", run_reset, NULL },
    { "open", "FILE", "open another model", run_open, complete_file },
    { "peaks", "", "measure what the machine can do at most again", run_peaks, NULL },
    { "reduce", "rows|split-k", "what threads divide for a token: rows, or sums", run_reduce, complete_reduce },
    { "split", "attn=groups|heads", "how threads share out a token's attention", run_split, complete_split },
    { "theme", "NAME", "dark, light, contrast, mono", run_theme, complete_scheme },
    { "ascii", "on|off", "draw with ASCII characters only", run_ascii, NULL },
    { "latency", "", "time from key to frame, measured here", run_latency, NULL },
    { "help", "", "the keys of this view", run_help, NULL },
    { "quit", "", "leave", run_quit, NULL },
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* ---- the line */

/* The command a line begins with, by its name or an unambiguous part; its argument in *arg. */
static const struct command *parse(const char *line, const char **arg) {
    while (*line == ' ') line++;
    size_t n = strcspn(line, " ");
    const struct command *found = NULL;
    int hits = 0;
    *arg = line + n + strspn(line + n, " ");
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strncmp(commands[i].name, line, n)) continue;
        found = &commands[i];
        hits++;
        if (strlen(found->name) == n) return found;
    }
    return hits == 1 ? found : NULL;
}

bool tui_command_run(struct tui_app *app, const char *line) {
    const char *arg;
    const struct command *c = parse(line, &arg);
    if (c) c->run(app, arg);
    return c != NULL;
}

void tui_command_complete(void *user, const char *text, struct tui_completions *out) {
    const char *arg;
    if (!strchr(text, ' ')) {
        for (int i = 0; i < N_COMMANDS; i++)
            if (!strncmp(commands[i].name, text, strlen(text)))
                tui_complete_add(out, "%s%s", commands[i].name, *commands[i].argument ? " " : "");
        return;
    }
    const struct command *c = parse(text, &arg);
    if (!c || !c->complete) return;
    struct tui_completions args = { 0 };
    c->complete(user, arg, &args);
    for (int i = 0; i < args.n; i++) {
        tui_complete_add(out, "%.*s%s", (int)(arg - text), text, args.line[i]);
        free(args.line[i]);
    }
    free(args.line);
}

int tui_command_count(void) { return N_COMMANDS; }

int tui_command_help(struct tui_area a, int y) {
    for (int i = 0; i < N_COMMANDS; i++, y++) {
        int x = tui_textf(a, 0, y, TUI_KEY, ":%s", commands[i].name);
        tui_text(a, x + 1, y, TUI_DIM, commands[i].argument);
        tui_text_fit(a, 20, a.w, y, TUI_TEXT, commands[i].help);
    }
    return y;
}
