/* file.c - a file in memory: mapped, so that opening costs nothing and pages are shared, or read in on request.
 *
 * Either way in pages of 2 MiB, as far as the system has them. A mapping gets them when the file comes from the disk; what the page cache
 * already holds stays in the pieces it was written in, and reading is the way to have that in one. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/base.h"

const char *cut_basename(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static enum cut_status read_all(struct cut_file *f, int fd, const char *path, struct cut_err *err) {
    uint8_t *p = cut_alloc_huge(f->size, "a file", NULL);
    if (!p) return cut_fail(err, CUT_ENOMEM, "%s: out of memory: reading it needs %zu bytes", cut_basename(path), f->size);
    for (size_t got = 0; got < f->size;) {
        ssize_t n = read(fd, p + got, f->size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            cut_free_aligned(p);
            return cut_fail(err, CUT_EFILE, "%s: read stopped at byte %zu of %zu: %s", cut_basename(path), got, f->size,
                            n < 0 ? strerror(errno) : "the file became shorter");
        }
        got += (size_t)n;
    }
    f->data = p;
    return CUT_OK;
}

enum cut_status cut_file_open(struct cut_file *out, const char *path, bool no_mmap, struct cut_err *err) {
    struct cut_file f = { 0 };
    struct stat st;
    enum cut_status status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);    /* a pipe nobody writes to must not hold us here */
    if (fd < 0) return cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st))
        status = cut_fail(err, CUT_EFILE, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        status = cut_fail(err, CUT_EFILE, "%s: %s, not a file", path, S_ISDIR(st.st_mode) ? "a directory" : "a device or pipe");
    else if (st.st_size == 0)
        status = cut_fail(err, CUT_EFILE, "%s: the file is empty (0 bytes)", path);
    else {
        f.size = (size_t)st.st_size;
        if (no_mmap) {
            status = read_all(&f, fd, path, err);
        } else {
            void *p = mmap(NULL, f.size, PROT_READ, MAP_SHARED, fd, 0);
            f.data = p;
            f.mapped = true;
            if (p != MAP_FAILED) cut_prefer_huge(p, f.size);
            status = p == MAP_FAILED ? cut_fail(err, CUT_ENOMEM, "%s: cannot map %zu bytes: %s", path, f.size, strerror(errno)) : CUT_OK;
        }
    }
    close(fd);
    if (!status) *out = f;
    return status;
}

void cut_file_let_go(const void *data, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = cut_round_up((uintptr_t)data, page), to = ((uintptr_t)data + bytes) / page * page;
    if (from < to) madvise((void *)from, to - from, MADV_DONTNEED);
}

void cut_file_close(struct cut_file *f) {
    if (f->mapped) munmap((void *)f->data, f->size);
    else cut_free_aligned((void *)f->data);
    *f = (struct cut_file){ 0 };
}

enum cut_status cut_file_check_text(const struct cut_file *f, const char *path, struct cut_err *err) {
    for (size_t i = 0; i < f->size;) {
        uint32_t cp;
        int n = cut_utf8_decode((const char *)f->data + i, f->size - i, &cp);
        if (!n || !cp)
            return cut_fail(err, CUT_EFILE, "%s: byte 0x%02X at offset %zu: this is no UTF-8 text", cut_basename(path), f->data[i], i);
        i += (size_t)n;
    }
    return CUT_OK;
}
