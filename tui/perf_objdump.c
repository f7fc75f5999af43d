/* perf_objdump.c - what it takes to run objdump on ourselves: where an address stands in a file, and a program run to its end. */
#define _GNU_SOURCE            /* for dl_iterate_phdr */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <link.h>
#endif

#include "tui/perf_work.h"
#include "tui/screen/mem.h"

/* ---- where an address stands */

#ifdef __linux__
struct search { uint64_t address; struct tui_perf_module *out; bool found; };

/* Addresses in a position-independent file begin at 0; in memory, at what the loader chose: dlpi_addr. */
static int look(struct dl_phdr_info *info, size_t size, void *user) {
    struct search *s = user;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uint64_t from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (info->dlpi_phdr[i].p_type != PT_LOAD || s->address < from || s->address - from >= info->dlpi_phdr[i].p_memsz) continue;
        s->out->base = info->dlpi_addr;
        snprintf(s->out->path, sizeof s->out->path, "%s", info->dlpi_name ? info->dlpi_name : "");
        s->found = true;
    }
    return s->found;
}

bool tui_perf_module_of(struct tui_perf_module *out, uint64_t address) {
    struct search s = { address, out, false };
    dl_iterate_phdr(look, &s);
    if (!s.found || out->path[0]) return s.found;
    /* The program itself has no name here. Its path serves a reader best; where it has been replaced since, the system still has it. */
    ssize_t n = readlink("/proc/self/exe", out->path, sizeof out->path - 1);
    if (n > 0) out->path[n] = 0;
    if (n <= 0 || n == (ssize_t)sizeof out->path - 1 || access(out->path, R_OK))
        snprintf(out->path, sizeof out->path, "/proc/%ld/exe", (long)getpid());
    return true;
}
#else
bool tui_perf_module_of(struct tui_perf_module *out, uint64_t address) {
    (void)out, (void)address;
    return false;
}
#endif

/* ---- a program, without a shell */

enum { MOST_TEXT = 4 << 20, MOMENT_MS = 50 };
extern char **environ;

static enum cut_status start(pid_t *child, int *from, const char *const *argv, struct cut_err *err) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, dead;
    int end[2], e;
    if (pipe(end)) return cut_fail(err, CUT_ESYSTEM, "%s: no pipe: %s", argv[0], strerror(errno));
    for (int i = 0; i < 2; i++) fcntl(end[i], F_SETFD, FD_CLOEXEC);
    sigemptyset(&none);
    sigemptyset(&dead);
    sigaddset(&dead, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, end[1], 1);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &dead);
    e = posix_spawnp(child, argv[0], &files, &attr, (char *const *)argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    close(end[1]);
    *from = end[0];
    if (!e) return CUT_OK;
    close(end[0]);
    return cut_fail(err, CUT_ESYSTEM, e == ENOENT ? "%s not found" : "%s: %s", argv[0], strerror(e));
}

/* Until it closes its output, time is over, or nobody wants it any more. */
static enum cut_status gather(char *text, int from, const char *name, double until, bool (*wait)(void *user), void *user, struct cut_err *err) {
    size_t n = 0;
    for (;;) {
        struct pollfd p = { .fd = from, .events = POLLIN };
        if (wait && !wait(user)) return cut_fail(err, CUT_ECANCEL, "stopped");
        if (cut_clock() > until) return cut_fail(err, CUT_ESYSTEM, "%s took too long", name);
        if (poll(&p, 1, MOMENT_MS) <= 0) continue;
        ssize_t got = read(from, text + n, MOST_TEXT - n);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0) return CUT_OK;
        n += (size_t)got;
        if (n == MOST_TEXT) return cut_fail(err, CUT_ESYSTEM, "%s printed more than %d MiB", name, MOST_TEXT >> 20);
    }
}

enum cut_status tui_perf_run(char **text, const char *const *argv, double seconds, bool (*wait)(void *user), void *user, struct cut_err *err) {
    pid_t child;
    int from, status = 0;
    enum cut_status st = start(&child, &from, argv, err);
    if (st) return st;
    char *out = tui_alloc(MOST_TEXT + 1, 1);
    st = gather(out, from, argv[0], cut_clock() + seconds, wait, user, err);
    close(from);
    if (st) kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (!st && WIFEXITED(status) && WEXITSTATUS(status) == 127) st = cut_fail(err, CUT_ESYSTEM, "%s not found", argv[0]);
    else if (!st && (!WIFEXITED(status) || WEXITSTATUS(status))) st = cut_fail(err, CUT_ESYSTEM, "%s failed", argv[0]);
    if (st) free(out);
    else *text = out;
    return st;
}
