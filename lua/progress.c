/* progress.c - which labs were passed: a line each in a small text file, replaced as a whole. */
#include "lua/lab.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The folder for our state, made when it is missing and `make` is set; with the file's name behind it. */
static bool state_file(char *out, size_t size, bool make) {
    const char *base = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char folder[PATH_MAX / 2];
    int n = base && base[0] == '/' ? snprintf(folder, sizeof folder, "%s/cutaway", base)
          : home && home[0] == '/' ? snprintf(folder, sizeof folder, "%s/.local/state/cutaway", home) : -1;
    if (n < 0 || n >= (int)sizeof folder) return false;
    for (char *p = folder + 1; make && (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(folder, 0777);
        *p = '/';
    }
    if (make) mkdir(folder, 0777);
    return snprintf(out, size, "%s/labs", folder) < (int)size;
}

bool cut_lab_done(const char *id) {
    char path[PATH_MAX], line[128];
    FILE *f = state_file(path, sizeof path, false) ? fopen(path, "r") : NULL;
    bool done = false;
    if (!f) return false;
    while (!done && fgets(line, sizeof line, f)) {
        line[strcspn(line, " \n")] = 0;
        done = !strcmp(line, id);
    }
    fclose(f);
    return done;
}

enum cut_status cut_lab_set_done(const char *id, struct cut_err *err) {
    char path[PATH_MAX], line[128];
    struct cut_save save;
    if (cut_lab_done(id)) return CUT_OK;
    if (!state_file(path, sizeof path, true)) return cut_fail(err, CUT_ESYSTEM, "no folder to note that lab %s is done", id);
    enum cut_status status = cut_save_open(&save, path, err);
    if (status) return status;
    FILE *from = fopen(path, "r");
    while (from && fgets(line, sizeof line, from)) fputs(line, save.f);
    if (from) fclose(from);
    fprintf(save.f, "%s passed\n", id);
    return cut_save_close(&save, CUT_OK, err);
}
