/* json.c - JSON text (RFC 8259) on a stream. Whether all of it arrived is for the stream's owner to ask: ferror, fflush. */
#include <locale.h>
#include <math.h>

#include "engine/base/base.h"

void cut_json_init(struct cut_json *j, FILE *f) { *j = (struct cut_json){ .f = f, .first = true }; }

static void new_line(struct cut_json *j) { fprintf(j->f, "\n%*s", 2 * j->depth, ""); }

/* Everything a terminal might obey is escaped, beyond what JSON demands: DEL and the C1 controls. */
static void quoted(FILE *f, const char *s, size_t len) {
    fputc('"', f);
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int n = cut_utf8_decode(s + i, len - i, &c);
        if (!n) fputs("\xEF\xBF\xBD", f), n = 1;                /* U+FFFD for each byte that is not UTF-8 */
        else if (c == '"' || c == '\\') fprintf(f, "\\%c", (char)c);
        else if (c == '\n') fputs("\\n", f);
        else if (c == '\t') fputs("\\t", f);
        else if (c == '\r') fputs("\\r", f);
        else if (c < 0x20 || (c >= 0x7F && c < 0xA0)) fprintf(f, "\\u%04x", (unsigned)c);
        else fwrite(s + i, 1, (size_t)n, f);
        i += (size_t)n;
    }
    fputc('"', f);
}

/* What stands before every value: the comma, the line and the key. */
static void begin(struct cut_json *j, const char *key) {
    if (!j->first) fputs(j->inline_ ? ", " : ",", j->f);
    if (j->depth && !j->inline_) new_line(j);
    j->first = false;
    if (key) {
        quoted(j->f, key, strlen(key));
        fputs(": ", j->f);
    }
}

/* A document ends with its line. */
static void end(struct cut_json *j) {
    if (!j->depth) fputc('\n', j->f);
}

void cut_json_open(struct cut_json *j, const char *key, char bracket) {
    begin(j, key);
    fputc(bracket, j->f);
    j->depth++;
    j->first = true;
}

void cut_json_close(struct cut_json *j, char bracket) {
    j->depth--;
    if (!j->first && !j->inline_) new_line(j);
    fputc(bracket, j->f);
    j->first = false;
    end(j);
}

void cut_json_str(struct cut_json *j, const char *key, const char *s, size_t len) {
    begin(j, key);
    quoted(j->f, s, len);
    end(j);
}

void cut_json_int(struct cut_json *j, const char *key, int64_t v) {
    begin(j, key);
    fprintf(j->f, "%lld", (long long)v);
    end(j);
}

void cut_json_uint(struct cut_json *j, const char *key, uint64_t v) {
    begin(j, key);
    fprintf(j->f, "%llu", (unsigned long long)v);
    end(j);
}

/* The fewest digits that read back as the same double. printf and strtod follow the locale's decimal point; JSON does
 * not, so it is put right at the end. */
void cut_json_num(struct cut_json *j, const char *key, double v) {
    char text[64];
    begin(j, key);
    if (!isfinite(v)) {
        fputs("null", j->f);
    } else {
        for (int digits = 6; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, v);
            if (strtod(text, NULL) == v) break;
        }
        const char *point = localeconv()->decimal_point;
        char *at = strstr(text, point);
        if (at) fprintf(j->f, "%.*s.%s", (int)(at - text), text, at + strlen(point));
        else fputs(text, j->f);
    }
    end(j);
}

void cut_json_bool(struct cut_json *j, const char *key, bool v) {
    begin(j, key);
    fputs(v ? "true" : "false", j->f);
    end(j);
}
