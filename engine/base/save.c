/* save.c - files that appear whole or not at all: written beside their path, flushed to the disk, renamed.
 *
 * rename(2) replaces whatever bears the name, a device, too, where root asks for it; so what is no file is refused first. A
 * symbolic link is followed, as writing through it would, and the file keeps its mode. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/base.h"

/* The rename itself is on the disk when the folder is. Some file systems cannot sync a folder; the file is whole anyway. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

static void forget(struct cut_save *s) {
    free(s->path);
    free(s->temp);
    *s = (struct cut_save){ 0 };
}

/* The path with its links followed. A name that is not there yet stands for itself. */
static enum cut_status resolve(struct cut_save *s, const char *path, mode_t *mode, struct cut_err *err) {
    struct stat old;
    *mode = 0;
    if (!stat(path, &old)) {
        if (!S_ISREG(old.st_mode))
            return cut_fail(err, CUT_ESYSTEM, "%s: cannot write: %s, not a file", path,
                            S_ISDIR(old.st_mode) ? "a directory" : "a device or pipe");
        if (access(path, W_OK)) return cut_fail(err, CUT_ESYSTEM, "%s: cannot write: %s", path, strerror(errno));
        *mode = old.st_mode & 07777;
        s->path = realpath(path, NULL);
    } else {
        s->path = strdup(path);
    }
    if (s->path) s->temp = malloc(strlen(s->path) + 40);
    return s->temp ? CUT_OK : cut_fail(err, CUT_ENOMEM, "%s: out of memory: its name", path);
}

enum cut_status cut_save_open(struct cut_save *s, const char *path, struct cut_err *err) {
    struct cut_save fresh = { 0 };
    mode_t mode;
    int fd = -1;
    enum cut_status st = resolve(&fresh, path, &mode, err);
    if (!st) {
        sprintf(fresh.temp, "%s.tmp.%ld", fresh.path, (long)getpid());
        fd = open(fresh.temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0) st = cut_fail(err, CUT_ESYSTEM, "%s: cannot create: %s", path, strerror(errno));
    }
    if (!st && mode && fchmod(fd, mode)) errno = 0;            /* a file system without modes: nothing to keep */
    if (!st && !(fresh.f = fdopen(fd, "wb"))) {
        close(fd);
        unlink(fresh.temp);
        st = cut_fail(err, CUT_ENOMEM, "%s: out of memory: a stream", path);
    }
    if (st) forget(&fresh);
    *s = fresh;
    return st;
}

enum cut_status cut_save_close(struct cut_save *s, enum cut_status st, struct cut_err *err) {
    if (!s->f) return st;
    bool fine = !ferror(s->f) && !fflush(s->f) && !fsync(fileno(s->f));
    int why = errno;
    if (fclose(s->f) && fine) fine = false, why = errno;
    if (fine && !st && rename(s->temp, s->path)) fine = false, why = errno;
    if (!st && !fine) st = cut_fail(err, CUT_ESYSTEM, "%s: cannot write: %s", s->path, strerror(why));
    if (st) unlink(s->temp);
    else sync_folder(s->path);
    forget(s);
    return st;
}
