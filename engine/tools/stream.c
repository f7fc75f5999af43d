/* stream.c - text on its way out: whole UTF-8 characters, and never a part of a stop string.
 *
 * A token is rarely a whole character or a whole stop string: "é" may come as two byte tokens, "</end>" as four pieces.
 * So text waits as long as its end could still become one: the longest suffix that begins a stop string, and before it
 * a character whose last bytes are missing. What waits is shorter than the longest stop string plus four bytes, so
 * looking for all of them again with each piece costs little. */
#include "engine/tools/stream.h"

void cut_stream_init(struct cut_stream *st, const char *const *stop, int n_stop) {
    *st = (struct cut_stream){ .stop = stop, .n_stop = n_stop };
}

void cut_stream_done(struct cut_stream *st) { free(st->buf); }

enum cut_status cut_stream_room(struct cut_stream *st, size_t n, struct cut_err *err) {
    size_t need = st->len + n;
    if (need <= st->cap) return CUT_OK;
    char *p = realloc(st->buf, 2 * need);
    if (!p) return cut_fail(err, CUT_ENOMEM, "out of memory: text to show, %zu bytes", 2 * need);
    st->buf = p;
    st->cap = 2 * need;
    return CUT_OK;
}

/* Where the first stop string begins; len: there is none. */
static size_t find_stop(const struct cut_stream *st) {
    for (size_t at = 0; at < st->len; at++)
        for (int i = 0; i < st->n_stop; i++) {
            size_t n = strlen(st->stop[i]);
            if (n <= st->len - at && !memcmp(st->buf + at, st->stop[i], n)) return at;
        }
    return st->len;
}

/* Length of the longest suffix that is the beginning of a stop string. */
static size_t begun_stop(const struct cut_stream *st) {
    size_t longest = 0;
    for (int i = 0; i < st->n_stop; i++) {
        size_t n = strlen(st->stop[i]) - 1;
        for (n = n < st->len ? n : st->len; n > longest; n--)
            if (!memcmp(st->buf + st->len - n, st->stop[i], n)) longest = n;
    }
    return longest;
}

size_t cut_stream_push(struct cut_stream *st, size_t n) {
    st->len += n;
    size_t at = find_stop(st);
    if (at < st->len) {
        st->stopped = true;
        return at;
    }
    at = st->len - begun_stop(st);
    return at - cut_utf8_tail(st->buf, at);
}

void cut_stream_drop(struct cut_stream *st, size_t n) {
    st->len -= n;
    memmove(st->buf, st->buf + n, st->len);
}
