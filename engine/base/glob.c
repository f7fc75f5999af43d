/* glob.c - step-name patterns: * stands for any run of characters, everything else for itself. */
#include "engine/base/base.h"

bool cut_glob(const char *pattern, const char *name) {
    const char *star = NULL, *mark = NULL;      /* the last star seen, and how much of name it has taken */
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            mark = name;
        } else if (*pattern == *name) {
            pattern++, name++;
        } else if (star) {
            pattern = star;
            name = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}
