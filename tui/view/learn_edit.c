/* learn_edit.c - the learner's own editor, on the terminal we give back for so long. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tui/screen/mem.h"
#include "tui/view/learn.h"

struct edit { const char *editor, *path; int status, errnum; };

/* The editor's name may hold arguments ("emacs -nw"), so a shell reads it, as git and others do; the path goes past the
 * shell. While it runs ^C and ^\ are meant for it and not for us, as with system(). */
static void run_editor(void *user) {
    struct edit *e = user;
    struct sigaction ignore = { .sa_handler = SIG_IGN }, normal = { .sa_handler = SIG_DFL }, old_int, old_quit;
    size_t size = strlen(e->editor) + sizeof " \"$1\"";
    char *command = tui_alloc(size, 1);
    snprintf(command, size, "%s \"$1\"", e->editor);
    sigaction(SIGINT, &ignore, &old_int);
    sigaction(SIGQUIT, &ignore, &old_quit);
    pid_t pid = fork();
    if (pid == 0) {
        sigaction(SIGINT, &normal, NULL);
        sigaction(SIGQUIT, &normal, NULL);
        execl("/bin/sh", "sh", "-c", command, "sh", e->path, (char *)NULL);
        _exit(127);
    }
    if (pid < 0) e->errnum = errno;
    else while (waitpid(pid, &e->status, 0) < 0 && errno == EINTR) {}
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGQUIT, &old_quit, NULL);
    free(command);
}

static const char *chosen_editor(void) {
    const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
    return visual && *visual ? visual : editor && *editor ? editor : NULL;
}

enum cut_status learn_edit(struct tui_app *app, const struct learn_file *f, struct cut_err *err) {
    struct edit e = { .editor = chosen_editor(), .path = f->path };
    if (!e.editor)
        return cut_fail(err, CUT_EUSAGE, "No editor is set. Set VISUAL or EDITOR to the name of yours, or change the file with "
                                         "any other: %s", f->shown);
    tui_app_outside(app, run_editor, &e);
    if (e.errnum) return cut_fail(err, CUT_ESYSTEM, "no process for the editor: %s", strerror(e.errnum));
    int code = WIFEXITED(e.status) ? WEXITSTATUS(e.status) : -1;
    if (code == 0) return CUT_OK;
    if (code == 126 || code == 127)
        return cut_fail(err, CUT_ESYSTEM, "The editor \"%.40s\" cannot be run. Change the file with another: %s", e.editor,
                        f->shown);
    if (code > 0)
        return cut_fail(err, CUT_ESYSTEM, "The editor \"%.40s\" ended with status %d. The file: %s", e.editor, code, f->shown);
    return cut_fail(err, CUT_ESYSTEM, "The editor \"%.40s\" was ended by signal %d. The file: %s", e.editor,
                    WTERMSIG(e.status), f->shown);
}
