/* stream.h - text on its way out: what may be shown now, and what must wait. Internal to the jobs. */
#ifndef CUT_STREAM_H
#define CUT_STREAM_H

#include "engine/base/base.h"

/* Pieces go in at the end; whole UTF-8 characters that cannot belong to a stop string any more come out in front. */
struct cut_stream {
    const char *const *stop;   /* borrowed; none is empty */
    int n_stop;
    char *buf;                 /* what came in and was not taken yet */
    size_t len, cap;
    bool stopped;              /* a stop string is in the text; nothing follows what stood before it */
};

void cut_stream_init(struct cut_stream *st, const char *const *stop, int n_stop);
void cut_stream_done(struct cut_stream *st);
/* Room for n more bytes, at buf + len; the caller writes them there and calls cut_stream_push. */
enum cut_status cut_stream_room(struct cut_stream *st, size_t n, struct cut_err *err);
/* n bytes were written. Returns how many bytes at buf may be shown; drop them afterwards. */
size_t cut_stream_push(struct cut_stream *st, size_t n);
void cut_stream_drop(struct cut_stream *st, size_t n);

#endif
