/* learn_file.c - the learner's file: made once, read when it changes, put back on request. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tui/screen/mem.h"
#include "tui/view/learn.h"

enum { MAX_SCRIPT = 1 << 20 };

static enum cut_status system_error(struct cut_err *err, const char *path) {
    return cut_fail(err, CUT_ESYSTEM, "%s: %s", path, strerror(errno));
}

/* ---- where it is */

static bool find_path(struct learn_file *f, const char *id) {
    const char *base = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    bool given = base && base[0] == '/';
    if (!given && !(home && home[0] == '/')) return false;
    int n = given ? snprintf(f->path, sizeof f->path, "%s/cutaway/labs/%s.lua", base, id)
                  : snprintf(f->path, sizeof f->path, "%s/.local/share/cutaway/labs/%s.lua", home, id);
    if (n >= (int)sizeof f->path - 8) return false;                /* ".old" and ".new" stand behind it */
    f->name = strrchr(f->path, '/') + 1;
    size_t k = home && home[0] == '/' ? strlen(home) : 0;
    bool inside = k > 1 && !strncmp(f->path, home, k) && f->path[k] == '/';
    snprintf(f->shown, sizeof f->shown, "%s%s", inside ? "~" : "", f->path + (inside ? k : 0));
    return true;
}

static void make_folders(const char *path) {
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *p = folder + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(folder, 0777);           /* what cannot be made shows when the file is */
        *p = '/';
    }
}

/* ---- writing it */

/* All of the text in a file beside, so that no crash leaves half of it; its name in fresh. */
static enum cut_status write_fresh(char *fresh, const char *path, const char *text, struct cut_err *err) {
    snprintf(fresh, PATH_MAX, "%s.new", path);
    FILE *to = fopen(fresh, "w");
    if (!to) return system_error(err, fresh);
    bool failed = fputs(text, to) == EOF;
    if (!fclose(to) && !failed) return CUT_OK;
    enum cut_status st = system_error(err, fresh);
    unlink(fresh);
    return st;
}

/* link() refuses a name that exists, where rename() would replace it; some file systems know no links. */
static enum cut_status create(const char *path, const char *text, struct cut_err *err) {
    char fresh[PATH_MAX];
    if (!access(path, F_OK)) return CUT_OK;
    make_folders(path);
    enum cut_status st = write_fresh(fresh, path, text, err);
    if (st) return st;
    if (link(fresh, path) && errno != EEXIST && rename(fresh, path)) st = system_error(err, path);
    unlink(fresh);
    return st;
}

enum cut_status learn_file_reset(struct learn_file *f, const struct cut_lab *lab, struct cut_err *err) {
    char fresh[PATH_MAX], old[PATH_MAX + 8];
    snprintf(old, sizeof old, "%s.old", f->path);
    make_folders(f->path);
    enum cut_status st = write_fresh(fresh, f->path, lab->start, err);
    if (st) return st;
    if ((rename(f->path, old) && errno != ENOENT) || rename(fresh, f->path)) st = system_error(err, f->path);
    if (st) unlink(fresh);
    return st;
}

/* ---- reading it */

static struct learn_stamp stamp_of(const struct stat *st) {
    return (struct learn_stamp){ st->st_mtim, st->st_size, st->st_ino };
}

static bool same(const struct learn_stamp *a, const struct learn_stamp *b) {
    return a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec && a->size == b->size &&
           a->inode == b->inode;
}

/* The stamp is taken before the text: what is saved in between counts as saved later. */
static enum cut_status read_file(struct learn_file *f) {
    struct stat st;
    char *text = NULL;
    enum cut_status status = CUT_OK;
    free(f->text);
    f->text = NULL;
    f->problem = (struct cut_err){ 0 };
    int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) status = system_error(&f->problem, f->shown);
    else if (!S_ISREG(st.st_mode)) status = cut_fail(&f->problem, CUT_EFILE, "%s: not a file", f->shown);
    else if (st.st_size > MAX_SCRIPT) status = cut_fail(&f->problem, CUT_EFILE, "%s: more than 1 MiB", f->shown);
    if (!status) {
        size_t n = 0;
        ssize_t k;
        text = tui_alloc((size_t)st.st_size + 1, 1);
        while (n < (size_t)st.st_size && (k = read(fd, text + n, (size_t)st.st_size - n)) > 0) n += (size_t)k;
        f->text = text;
        f->len = n;
        f->read = f->seen = stamp_of(&st);
    }
    if (fd >= 0) close(fd);
    return status;
}

enum cut_status learn_file_open(struct learn_file *f, const struct cut_lab *lab) {
    *f = (struct learn_file){ .name = "" };
    if (!find_path(f, lab->id)) return cut_fail(&f->problem, CUT_ESYSTEM, "no folder for your script: HOME is not set");
    enum cut_status st = create(f->path, lab->start, &f->problem);
    return st ? st : read_file(f);
}

void learn_file_done(struct learn_file *f) {
    free(f->text);
    *f = (struct learn_file){ .name = "" };
}

bool learn_file_poll(struct learn_file *f) {
    struct stat st;
    struct learn_stamp now = { 0 };
    if (!f->path[0]) return false;
    if (!stat(f->path, &st)) now = stamp_of(&st);
    bool rests = same(&now, &f->seen);
    f->seen = now;
    if (!rests || same(&now, &f->read)) return false;
    read_file(f);
    f->read = f->seen = now;           /* also of a file that is gone, so that this is told once */
    return true;
}

bool learn_file_restless(const struct learn_file *f) { return !same(&f->seen, &f->read); }
