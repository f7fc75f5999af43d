/* Text on its way out: what is shown with each piece, and what waits. */
#include "engine/tools/stream.h"
#include "tests/test.h"

/* Push pieces (split at '|'); the result shows what came out with each, and what was left. */
static const char *flow(const char *const *stop, int n_stop, const char *pieces) {
    static char out[256];
    struct cut_stream st;
    size_t at = 0;
    cut_stream_init(&st, stop, n_stop);
    for (const char *p = pieces; !st.stopped;) {
        size_t len = strcspn(p, "|");
        if (cut_stream_room(&st, len, NULL)) break;
        memcpy(st.buf + st.len, p, len);
        size_t n = cut_stream_push(&st, len);
        memcpy(out + at, st.buf, n);
        at += n;
        cut_stream_drop(&st, n);
        out[at++] = '|';
        if (!p[len]) break;
        p += len + 1;
    }
    out[at++] = st.stopped ? '!' : '~';
    size_t rest = st.stopped ? 0 : st.len;
    if (rest) memcpy(out + at, st.buf, rest);
    out[at + rest] = 0;
    cut_stream_done(&st);
    return out;
}

#define FLOW(pieces, want, ...) do {                                                          \
        static const char *const stop_[] = { __VA_ARGS__ };                                   \
        const char *got_ = flow(stop_, (int)(sizeof stop_ / sizeof *stop_), pieces);          \
        CHECK(!strcmp(got_, want), "%s gives %s, want %s", pieces, got_, want);               \
    } while (0)

TEST(stream_without_stops) {
    CHECK(!strcmp(flow(NULL, 0, "a|bc||d"), "a|bc||d|~"));
}

TEST(stream_whole_characters) {
    CHECK(!strcmp(flow(NULL, 0, "a\xc3|\xa9|b"), "a|\xc3\xa9|b|~"));
    CHECK(!strcmp(flow(NULL, 0, "\xf0|\x9f|\xa6|\x99|"), "|||\xf0\x9f\xa6\x99||~"));
    CHECK(!strcmp(flow(NULL, 0, "\xff|a"), "\xff|a|~"), "what can never become a character does not wait");
    CHECK(!strcmp(flow(NULL, 0, "a\xe2\x96"), "a|~\xe2\x96"));
}

TEST(stream_stops) {
    FLOW("abc|def|ghi", "abc|d|!", "ef");                  /* inside a piece */
    FLOW("a<|/e|nd|>b", "a||||!", "</end>");                /* across four */
    FLOW("a<|/e|xy", "a||</exy|~", "</end>");              /* begun, and given up */
    FLOW("a<|<|/end>", "a|<||!", "</end>");                 /* begun anew inside a beginning */
    FLOW("aab|aab|aac", "|aab||!", "aabaac", "aac");    /* the longest beginning waits, and may turn out whole */
    FLOW("x\n|\nUser|y", "x||!", "\n\n", "User");
    FLOW("xUs|er\n\n", "x||!", "\n\n", "User");             /* the first in the text, not in the list */
    FLOW("tail<", "tail|~<", "</end>");                    /* what is left when the tokens end */
    FLOW("stop", "|!", "stop");
}

TEST(stream_stop_within_characters) {
    FLOW("a\xc3|\xa9|b", "a||\xc3\xa9" "b|~", "\xc3\xa9\xc3\xa9");     /* é may begin the stop string */
    FLOW("\xc3\xa9|\xc3\xa9", "||!", "\xc3\xa9\xc3\xa9");
}
