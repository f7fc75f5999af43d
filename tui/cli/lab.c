/* lab.c - `cutaway lab`: list the labs, open one, or work on it without the screen. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lua/lab.h"
#include "tui/cli/cli.h"

static int list(const struct cut_labs *labs) {
    printf("%-6s %-48s %7s\n", "lab", "title", "minutes");
    for (int i = 0; i < cut_labs_count(labs); i++) {
        const struct cut_lab *lab = cut_labs_get(labs, i);
        if (lab->problem) printf("%-6s cannot be used: %s\n", lab->id, lab->problem);
        else printf("%-6s %-48s %7d%s\n", lab->id, lab->title, lab->minutes, cut_lab_done(lab->id) ? "  done" : "");
    }
    printf("\n\"cutaway lab ID\" opens one in the workbench; \"cutaway lab --help\" tells the rest.\n");
    return cli_flush_stdout();
}

static int open_workbench(const char *id, const char *root, const char *model) {
    char *argv[7] = { "cutaway", "--lab", (char *)id };
    int argc = 3;
    if (root) argv[argc++] = "--labs", argv[argc++] = (char *)root;
    if (model) argv[argc++] = (char *)model;
    return cli_workbench(argc, argv);
}

static int write_start(const struct cut_lab *lab) {
    char path[64];
    snprintf(path, sizeof path, "lab-%.50s.lua", lab->id);
    FILE *f = fopen(path, "wx");
    struct cut_err err;
    if (!f) {
        cut_fail(&err, CUT_EFILE, "%s: %s", path, errno == EEXIST ? "is there already; nothing was written" : strerror(errno));
        return cli_error(&err);
    }
    fputs(lab->start, f);
    if (fclose(f)) {
        cut_fail(&err, CUT_EFILE, "%s: %s", path, strerror(errno));
        return cli_error(&err);
    }
    printf("%s is yours to complete. Then: cutaway lab %s --check %s\n", path, lab->id, path);
    return cli_flush_stdout();
}

/* What the Learn view shows, as text. */
static int show(const struct cut_lab *lab) {
    printf("Lab %s  %s  (%d min)\n", lab->id, lab->title, lab->minutes);
    for (int i = 0; i < lab->n_steps; i++) {
        const struct cut_lab_step *s = &lab->steps[i];
        printf("\n%d. %s  [%s]\n\n%s\n", i + 1, s->title, s->kind, s->text);
        if (s->task) printf("\nDo this:\n%s\n", s->task);
    }
    return cli_flush_stdout();
}

/* ---- checking */

static _Atomic(struct cut_lab_check *) checking;

static void on_interrupt(int sig) {
    (void)sig;
    struct cut_lab_check *c = atomic_load(&checking);
    if (c) cut_lab_check_cancel(c);
}

static void catch_interrupt(struct cut_lab_check *c) {
    atomic_store(&checking, c);
    struct sigaction act = { .sa_handler = c ? on_interrupt : SIG_DFL };
    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
}

/* A message of several lines stays in its column. */
static void print_indented(const char *text) {
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        printf("      %.*s\n", (int)(end - text), text);
    }
}

static int print_verdicts(const struct cut_lab_check *c, int from) {
    int n;
    const struct cut_lab_line *lines = cut_lab_check_lines(c, &n);
    for (; from < n; from++) {
        printf("%s %s\n", lines[from].ok ? "ok   " : "FAIL ", lines[from].name);
        if (!lines[from].ok) print_indented(lines[from].message);
    }
    fflush(stdout);
    return n;
}

static int verdict(const struct cut_lab *lab, const struct cut_lab_check *c, enum cut_lab_state state) {
    int n, good = 0;
    size_t len;
    const struct cut_lab_line *lines = cut_lab_check_lines(c, &n);
    for (int i = 0; i < n; i++) good += lines[i].ok;
    const char *output = cut_lab_check_output(c, &len);
    if (len) {
        printf("\nThe script printed:\n");
        print_indented(output);
    }
    printf("\n%d of %d checks passed in %.1f s: ", good, n, cut_lab_check_seconds(c));
    struct cut_err err;
    switch (state) {
    case CUT_LAB_PASSED:
        printf("lab %s is done\n", lab->id);
        if (cut_lab_set_done(lab->id, &err)) fprintf(stderr, "cutaway lab: the result is not kept: %s\n", err.msg);
        return CLI_OK;
    case CUT_LAB_CANCELLED:
        printf("cancelled\n");
        return CLI_INTERRUPTED;
    case CUT_LAB_BROKEN:
        printf("the checker itself failed\n");
        return CLI_FILE;
    default:
        printf("not there yet; \"cutaway lab %s --hint 1\" gives a hint\n", lab->id);
        return CLI_USAGE;
    }
}

static int check(const struct cut_lab *lab, const char *path, const struct cut_lab_opts *opts) {
    struct cut_err err = { 0 };
    struct cut_lab_check *c;
    size_t len;
    char *text = cli_read_text(path, &len, &err);
    if (!text) return cli_error(&err);
    const char *slash = strrchr(path, '/');
    printf("Lab %s  %s\n\n", lab->id, lab->title);
    fflush(stdout);
    enum cut_status s = cut_lab_check_start(&c, lab, slash ? slash + 1 : path, text, len, opts, &err);
    free(text);
    if (s) return cli_error(&err);
    catch_interrupt(c);
    enum cut_lab_state state;
    int shown = 0;
    while ((state = cut_lab_check_poll(c, 0.1)) == CUT_LAB_RUNNING) shown = print_verdicts(c, shown);
    print_verdicts(c, shown);
    catch_interrupt(NULL);
    int status = verdict(lab, c, state);
    cut_lab_check_free(c);
    int flushed = cli_flush_stdout();
    return status ? status : flushed;
}

static void print_finding(void *user, bool ok, const char *text) {
    (void)user;
    printf("  %s %s\n", ok ? "ok   " : "FAIL ", text);
    fflush(stdout);
}

static int lint(const struct cut_labs *labs, const struct cut_lab_opts *opts) {
    int bad = 0;
    for (int i = 0; i < cut_labs_count(labs); i++) {
        const struct cut_lab *lab = cut_labs_get(labs, i);
        printf("lab %s\n", lab->id);
        bad += cut_lab_lint(lab, opts, print_finding, NULL);
    }
    int flushed = cli_flush_stdout();
    return bad ? CLI_USAGE : flushed;
}

int cli_lab(int argc, char **argv) {
    bool start = false, print = false;
    int hint = 0, n_args;
    const char *checked = NULL, *model = NULL, *id = NULL, *root = NULL;
    const struct cli_opt opts[] = {
        { 0, "check", "FILE.lua", CLI_TEXT, &checked, "check your script: exit status 0 passed, 1 not yet", 0, 0 },
        { 0, "start", NULL, CLI_FLAG, &start, "write the script to begin with, lab-ID.lua, to this folder", 0, 0 },
        { 0, "print", NULL, CLI_FLAG, &print, "print the lab's text", 0, 0 },
        { 0, "hint", "N", CLI_INT, &hint, "print hint 1, 2 or 3", 0, 3 },
        { 0, "model", "FILE", CLI_TEXT, &model, "work on this model, where the lab allows it", 0, 0 },
        { 0, "labs", "FOLDER", CLI_TEXT, &root, "the labs of this folder instead of ours", 0, 0 },
    };
    const struct cli_spec spec = {
        "lab", "[ID] [options]",
        "Without ID, list the labs. With ID, open that lab in the workbench. \"cutaway lab lint\"\n"
        "runs every lab's own scripts through its checker.",
        opts, sizeof opts / sizeof *opts, 0, 1,
    };
    int status = cli_parse(&spec, argc, argv, &id, &n_args);
    if (status != CLI_GO) return status;
    if (!id && (start || print || hint || checked)) return cli_usage("lab", "which lab? \"cutaway lab\" lists them");
    struct cut_labs *labs;
    struct cut_err err = { 0 };
    char models[4200];
    cli_models_folder(models, sizeof models);
    struct cut_lab_opts lab_opts = { models, model };
    if (cut_labs_open(&labs, root, &err)) return cli_error(&err);
    const struct cut_lab *lab = id ? cut_labs_find(labs, id) : NULL;
    if (!id) status = list(labs);
    else if (!strcmp(id, "lint")) status = lint(labs, &lab_opts);
    else if (!lab) status = cli_usage("lab", "there is no lab \"%s\"", id);
    else if (lab->problem) cut_fail(&err, CUT_EFILE, "lab %s: %s", lab->id, lab->problem), status = cli_error(&err);
    else if (start) status = write_start(lab);
    else if (print) status = show(lab);
    else if (hint) printf("Hint %d of 3: %s\n", hint, lab->hints[hint - 1]), status = cli_flush_stdout();
    else if (checked) status = check(lab, checked, &lab_opts);
    else status = open_workbench(lab->id, root, model);
    cut_labs_close(labs);
    return status;
}
