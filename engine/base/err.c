/* err.c - errors that name the file, the item and the value. */
#include <stdarg.h>
#include <stdio.h>

#include "engine/base/base.h"

enum cut_status cut_fail(struct cut_err *err, enum cut_status code, const char *fmt, ...) {
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        err->code = code;
    }
    return code;
}
