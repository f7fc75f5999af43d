/* check.c - a check in a child process.
 *
 * The child is a fork and not a new program, so that a check starts in a millisecond and works inside a test program
 * too. What it says comes through a pipe as records: a letter, a length, and texts that each end in a zero byte.
 *
 *   p TEXT                printed by the script
 *   v OK NAME MESSAGE     a verdict
 *   d FAILED              the end: how many verdicts were not ok
 *   e MESSAGE             the checker itself failed
 */
#define _GNU_SOURCE
#include "lua/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lua/bind.h"

enum { MAX_OUTPUT = 256 << 10, MAX_RECORD = 1 << 20 };

struct cut_lab_check {
    pid_t pid;
    int fd;
    atomic_bool cancelled;
    enum cut_lab_state state;
    double start, seconds, limit;
    char *in;                      /* bytes of records not yet whole */
    size_t n_in, cap_in;
    struct cut_lab_line *lines;
    int n_lines, cap_lines;
    char *output;
    size_t n_output;
    bool ended;                    /* a d or e record came */
};

/* ---- the child */

struct child { int fd; size_t printed; const struct cut_lab *lab; const char *name, *text; size_t len; };

static void write_all(int fd, const void *data, size_t n) {
    for (const char *p = data; n;) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) _exit(1);      /* nobody listens any more */
        p += k;
        n -= (size_t)k;
    }
}

static void send_record(int fd, char letter, int n, const char *const *texts) {
    uint32_t len = 0;
    for (int i = 0; i < n; i++) len += (uint32_t)strlen(texts[i]) + 1;
    write_all(fd, &letter, 1);
    write_all(fd, &len, sizeof len);
    for (int i = 0; i < n; i++) write_all(fd, texts[i], strlen(texts[i]) + 1);
}

static void send_print(void *user, const char *text, size_t len) {
    struct child *c = user;
    if (c->printed > MAX_OUTPUT) return;
    c->printed += len;
    char *copy = strndup(text, len > MAX_OUTPUT ? MAX_OUTPUT : len);       /* up to a zero byte, should it hold one */
    if (copy) send_record(c->fd, 'p', 1, (const char *[]){ copy });
    free(copy);
}

static void send_verdict(const struct child *c, bool ok, const char *name, const char *message) {
    char shown[4096];
    snprintf(shown, sizeof shown, "%s", message);
    send_record(c->fd, 'v', 3, (const char *[]){ ok ? "1" : "0", name, shown });
}

static int report(lua_State *L) {
    const struct child *c = lua_touserdata(L, lua_upvalueindex(1));
    send_verdict(c, lua_toboolean(L, 1), luaL_checkstring(L, 2), luaL_optstring(L, 3, ""));
    return 0;
}

/* Stack: the child. Returns the number of failed checks. */
static int check_body(lua_State *L) {
    const struct child *c = lua_touserdata(L, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &cut_lua_lab_key);
    lua_getfield(L, 2, "check");
    cut_lua_push_globals(L);
    if (!cut_lua_load(L, "lab.lua", c->lab->definition, strlen(c->lab->definition))) return lua_error(L);
    lua_call(L, 0, 1);
    lua_pushstring(L, c->name);
    lua_pushlstring(L, c->text, c->len);
    lua_getfield(L, 2, "timings");
    lua_pushlightuserdata(L, (void *)c);
    lua_pushcclosure(L, report, 1);
    lua_call(L, 5, 1);
    return 1;
}

static void run_child(struct child *c, const struct cut_lab_opts *opts) {
    struct cut_err err;
    struct cut_lua *h;
    struct cut_lua_opts o = {
        .max_memory = c->lab->max_memory, .max_seconds = c->lab->max_seconds, .print = send_print, .user = c,
        .folder = c->lab->folder, .models = opts ? opts->models : NULL, .model = opts ? opts->model : NULL,
    };
    if (cut_lua_new(&h, &o, &err)) {
        send_record(c->fd, 'e', 1, (const char *[]){ err.msg });
        return;
    }
    lua_State *L = cut_lua_state(h);
    lua_pushcfunction(L, check_body);
    lua_pushlightuserdata(L, c);
    enum cut_status status = cut_lua_call(h, L, 1, 1, &err);
    char failed[24] = "1";
    if (status == CUT_ECANCEL) send_verdict(c, false, "the script comes to an end", cut_lua_error(h));
    else if (status == CUT_ENOMEM) send_verdict(c, false, "the script fits in memory", cut_lua_error(h));
    else if (status) send_verdict(c, false, "the checks run to their end", cut_lua_error(h));
    else snprintf(failed, sizeof failed, "%lld", (long long)lua_tointeger(L, -1));
    send_record(c->fd, 'd', 1, (const char *[]){ failed });
}

/* The parent's terminal, signals and threads are none of the child's business. */
static void detach(double limit) {
    for (int sig = 1; sig < 32; sig++) signal(sig, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) {
        dup2(null, 0);
        dup2(null, 1);
        if (isatty(2)) dup2(null, 2);
    }
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    alarm((unsigned)limit + 5);    /* should the parent be gone */
}

enum cut_status cut_lab_check_start(struct cut_lab_check **out, const struct cut_lab *lab, const char *name,
                                    const char *text, size_t len, const struct cut_lab_opts *opts, struct cut_err *err) {
    int fds[2];
    if (lab->problem) return cut_fail(err, CUT_EFILE, "%s/lab.lua: %s", lab->folder, lab->problem);
    struct cut_lab_check *c = calloc(1, sizeof *c);
    if (!c) return cut_fail(err, CUT_ENOMEM, "out of memory: a check");
    if (pipe2(fds, O_CLOEXEC)) {
        enum cut_status status = cut_fail(err, CUT_ESYSTEM, "a pipe for the check: %s", strerror(errno));
        free(c);
        return status;
    }
    c->limit = lab->max_seconds + 2;
    c->start = cut_clock();
    c->pid = fork();
    if (c->pid == 0) {
        close(fds[0]);
        detach(c->limit);
        struct child child = { fds[1], 0, lab, name, text, len };
        run_child(&child, opts);
        _exit(0);                  /* not exit: what the parent registered with atexit is the parent's */
    }
    close(fds[1]);
    if (c->pid < 0) {
        enum cut_status status = cut_fail(err, CUT_ESYSTEM, "a process for the check: %s", strerror(errno));
        close(fds[0]);
        free(c);
        return status;
    }
    c->fd = fds[0];
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    *out = c;
    return CUT_OK;
}

/* ---- the parent */

static void add_line(struct cut_lab_check *c, bool ok, const char *name, const char *message) {
    if (c->n_lines == c->cap_lines) {
        int cap = c->cap_lines ? c->cap_lines * 2 : 16;
        struct cut_lab_line *more = realloc(c->lines, (size_t)cap * sizeof *more);
        if (!more) return;
        c->lines = more;
        c->cap_lines = cap;
    }
    char *n = strdup(name), *m = strdup(message);
    if (!n || !m) {
        free(n);
        free(m);
        return;
    }
    c->lines[c->n_lines++] = (struct cut_lab_line){ ok, n, m };
}

static void add_output(struct cut_lab_check *c, const char *text) {
    size_t n = strlen(text);
    char *more = realloc(c->output, c->n_output + n + 1);
    if (!more) return;
    memcpy(more + c->n_output, text, n + 1);
    c->output = more;
    c->n_output += n;
}

/* A record whose texts are whole: len bytes that end in zero. */
static void take_record(struct cut_lab_check *c, char letter, const char *body, size_t len) {
    const char *texts[3] = { "", "", "" }, *end = body + len;
    for (int i = 0; i < 3 && body < end; i++, body += strlen(body) + 1) texts[i] = body;
    switch (letter) {
    case 'p': add_output(c, texts[0]); break;
    case 'v': add_line(c, texts[0][0] == '1', texts[1], texts[2]); break;
    case 'd':
        c->ended = true;
        c->state = atoi(texts[0]) ? CUT_LAB_FAILED : CUT_LAB_PASSED;
        break;
    case 'e':
        c->ended = true;
        c->state = CUT_LAB_BROKEN;
        add_line(c, false, "the checker runs", texts[0]);
    }
}

static void take_records(struct cut_lab_check *c) {
    size_t at = 0;
    uint32_t len;
    while (c->n_in - at >= 1 + sizeof len) {
        memcpy(&len, c->in + at + 1, sizeof len);
        if (len > c->n_in - at - 1 - sizeof len) break;
        const char *body = c->in + at + 1 + sizeof len;
        if (len && !body[len - 1]) take_record(c, c->in[at], body, len);
        at += 1 + sizeof len + len;
    }
    memmove(c->in, c->in + at, c->n_in - at);
    c->n_in -= at;
}

/* True when the other end is closed. */
static bool read_some(struct cut_lab_check *c) {
    for (;;) {
        if (c->cap_in - c->n_in < 4096) {
            char *more = c->cap_in < MAX_RECORD ? realloc(c->in, c->cap_in + 65536) : NULL;
            if (!more) return true;
            c->in = more;
            c->cap_in += 65536;
        }
        ssize_t n = read(c->fd, c->in + c->n_in, c->cap_in - c->n_in);
        if (n == 0) return true;
        if (n < 0) return errno != EAGAIN && errno != EINTR;
        c->n_in += (size_t)n;
        take_records(c);
    }
}

static void finish(struct cut_lab_check *c, bool too_late) {
    int status = 0;
    char text[160];
    close(c->fd);
    c->fd = -1;
    if (!c->ended) kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR) {}
    c->pid = 0;
    c->seconds = cut_clock() - c->start;
    if (c->ended) return;
    if (atomic_load(&c->cancelled)) {
        c->state = CUT_LAB_CANCELLED;
    } else if (too_late) {
        c->state = CUT_LAB_FAILED;
        snprintf(text, sizeof text, "stopped after %.0f s", c->seconds);
        add_line(c, false, "the script comes to an end", text);
    } else {
        c->state = CUT_LAB_BROKEN;
        if (WIFSIGNALED(status)) snprintf(text, sizeof text, "it was ended by signal %d (%s)", WTERMSIG(status),
                                          strsignal(WTERMSIG(status)));
        else snprintf(text, sizeof text, "it ended early, with status %d", WEXITSTATUS(status));
        add_line(c, false, "the checker runs", text);
    }
}

enum cut_lab_state cut_lab_check_poll(struct cut_lab_check *c, double wait_s) {
    if (c->fd < 0) return c->state;
    struct pollfd p = { c->fd, POLLIN, 0 };
    if (wait_s > 0) poll(&p, 1, (int)(wait_s * 1000) + 1);
    bool closed = read_some(c), late = cut_clock() - c->start > c->limit;
    if (closed || late || atomic_load(&c->cancelled)) finish(c, late && !closed);
    return c->fd < 0 ? c->state : CUT_LAB_RUNNING;
}

void cut_lab_check_cancel(struct cut_lab_check *c) { atomic_store(&c->cancelled, true); }

void cut_lab_check_free(struct cut_lab_check *c) {
    if (!c) return;
    if (c->fd >= 0) {
        atomic_store(&c->cancelled, true);
        finish(c, false);
    }
    for (int i = 0; i < c->n_lines; i++) {
        free((char *)c->lines[i].name);
        free((char *)c->lines[i].message);
    }
    free(c->lines);
    free(c->output);
    free(c->in);
    free(c);
}

int cut_lab_check_fd(const struct cut_lab_check *c) { return c->fd; }

const struct cut_lab_line *cut_lab_check_lines(const struct cut_lab_check *c, int *n) {
    *n = c->n_lines;
    return c->lines;
}

const char *cut_lab_check_output(const struct cut_lab_check *c, size_t *len) {
    *len = c->n_output;
    return c->output ? c->output : "";
}

double cut_lab_check_seconds(const struct cut_lab_check *c) {
    return c->fd < 0 ? c->seconds : cut_clock() - c->start;
}
