/* snap.h - taking snapshots of a session. Used by the worker alone. */
#ifndef TUI_SNAP_H
#define TUI_SNAP_H

#include "tui/work.h"

/* What snapshots share: the listing, and the last value copied with what its step reads, as long as the session has not
 * changed since. */
struct tui_snap_state {
    struct tui_listing *list;
    struct tui_value *value, *in[3];
    struct tui_pattern *pattern;
    struct tui_heads *heads;
    uint64_t changes, value_changes, in_changes, seq;
};

void tui_snap_state_open(struct tui_snap_state *st, struct cut_session *s, int threads);
void tui_snap_state_close(struct tui_snap_state *st);
void tui_snap_state_changed(struct tui_snap_state *st);

/* Copy what the watch asks for. s NULL: an empty snapshot. */
struct tui_snap *tui_snap_take(struct tui_snap_state *st, struct cut_session *s, const struct tui_watch *w, bool running);

/* A token as it stands in the text. */
void tui_snap_token(struct tui_token *t, const struct cut_vocab *v, int32_t id);

/* Attention (snap_attn.c): fills o->attn from what the watch asks. While a command runs the last pattern is shown again. */
void tui_snap_take_attn(struct tui_snap *o, struct tui_snap_state *st, struct cut_session *s);
void tui_snap_free_attn(struct tui_attn *a);
void tui_snap_close_attn(struct tui_snap_state *st);

#endif
