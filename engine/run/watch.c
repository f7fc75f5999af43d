/* watch.c - probes, breakpoints and edits: who wants to know about a step, stop at it, or change it. */
#include <math.h>

#include "engine/run/session.h"

bool cut_watched(const struct cut_session *s) {
    return s->opts.keep || s->stepping || s->n_probe || s->n_break || s->n_edit;
}

static int find_node(const struct cut_session *s, const char *name) {
    for (int i = 0; i < s->graph.n; i++)
        if (cut_node_is(&s->graph.node[i], name)) return i;
    return -1;
}

static bool any_match(const struct cut_session *s, const char *pattern) {
    for (int i = 0; i < s->graph.n; i++)
        if (cut_node_matches(&s->graph.node[i], pattern)) return true;
    return false;
}

static enum cut_status check_pattern(const struct cut_session *s, const char *pattern, size_t room, struct cut_err *err) {
    if (strlen(pattern) >= room) return cut_fail(err, CUT_EUSAGE, "pattern \"%.40s...\": %zu bytes, at most %zu", pattern, strlen(pattern), room - 1);
    if (!any_match(s, pattern)) return cut_fail(err, CUT_EUSAGE, "\"%s\": no step of this program has such a name", pattern);
    return CUT_OK;
}

/* ---- probes */

enum cut_status cut_session_probe(struct cut_session *s, const char *pattern, cut_probe_fn fn, void *user, unsigned flags, int *id,
                                  struct cut_err *err) {
    enum cut_status st = check_pattern(s, pattern, sizeof s->probe->pattern, err);
    if (st || (st = cut_grow(&s->probe, &s->cap_probe, s->n_probe, sizeof *s->probe, "probes", err))) return st;
    struct cut_probe *p = &s->probe[s->n_probe++];
    *p = (struct cut_probe){ .id = ++s->last_probe, .fn = fn, .user = user, .flags = flags };
    strcpy(p->pattern, pattern);
    *id = p->id;
    cut_watch_update(s);
    return CUT_OK;
}

void cut_session_unprobe(struct cut_session *s, int id) {
    for (size_t i = 0; i < s->n_probe; i++)
        if (s->probe[i].id == id) {
            memmove(&s->probe[i], &s->probe[i + 1], (--s->n_probe - i) * sizeof *s->probe);
            cut_watch_update(s);
            return;
        }
}

static enum cut_status call_probes(struct cut_session *s, int node, struct cut_err *err) {
    int last = s->last_probe;          /* probes added by a probe wait for the next step */
    for (size_t i = 0; i < s->n_probe; i++) {
        struct cut_probe p = s->probe[i];
        struct cut_tensor t;
        enum cut_status st;
        if (p.id > last || !cut_node_matches(&s->graph.node[node], p.pattern)) continue;
        if ((st = cut_value_view(s, node, &t, err))) return st;
        if (!p.fn(p.user, &s->step[node], &t)) return cut_fail(err, CUT_ECANCEL, "cancelled by a probe at %s", s->step[node].name);
        if (p.flags & CUT_PROBE_EDIT) s->edited[node] = true;
        if (i < s->n_probe && s->probe[i].id != p.id) i--;      /* it removed itself */
    }
    return CUT_OK;
}

/* ---- breakpoints */

enum cut_status cut_session_break(struct cut_session *s, const struct cut_break *b, struct cut_err *err) {
    enum cut_status st = check_pattern(s, b->pattern, sizeof b->pattern, err);
    if (!st) st = cut_grow(&s->brk, &s->cap_break, s->n_break, sizeof *b, "breakpoints", err);
    if (!st) s->brk[s->n_break++] = *b;
    return st;
}

void cut_session_unbreak(struct cut_session *s, int i) {
    if (i >= 0 && (size_t)i < s->n_break) memmove(&s->brk[i], &s->brk[i + 1], (--s->n_break - (size_t)i) * sizeof *s->brk);
}

int cut_session_breaks(const struct cut_session *s, const struct cut_break **out) {
    *out = s->brk;
    return (int)s->n_break;
}

bool cut_break_before(const struct cut_session *s, int node) {
    for (size_t i = 0; i < s->n_break; i++)
        if (!(s->brk[i].above > 0) && cut_node_matches(&s->graph.node[node], s->brk[i].pattern)) return true;
    return false;
}

bool cut_break_after(struct cut_session *s, int node) {
    for (size_t i = 0; i < s->n_break; i++) {
        struct cut_tensor t;
        if (!(s->brk[i].above > 0) || !cut_node_matches(&s->graph.node[node], s->brk[i].pattern)) continue;
        if (cut_value_view(s, node, &t, NULL)) continue;
        for (int64_t k = 0; k < t.ne[0] * t.ne[1] * t.ne[2]; k++)
            if (isfinite(t.data[k]) && fabsf(t.data[k]) > s->brk[i].above) return true;
    }
    return false;
}

/* ---- edits */

static bool covers(const struct cut_edit *e, const struct cut_fed *tok) {
    return e->seq == tok->seq && tok->pos >= e->pos0 && (e->pos1 < 0 || tok->pos <= e->pos1);
}

/* Apply the edits of a node to its value, as it was just written. */
static bool apply_edits(struct cut_session *s, int i) {
    const struct cut_node *n = &s->graph.node[i];
    bool any = false;
    for (size_t k = 0; k < s->n_edit; k++) {
        const struct cut_edit *e = &s->edit[k];
        if (!cut_node_is(n, e->step)) continue;
        int64_t ne0 = cut_dim_at(n->ne[0], 1, s->P, 1), ne1 = n->ne[1].n;
        int64_t a0 = e->i0 < 0 ? 0 : e->i0, a1 = e->i0 < 0 ? ne0 : a0 + 1;
        int64_t b0 = e->i1 < 0 ? 0 : e->i1, b1 = e->i1 < 0 ? ne1 : b0 + 1;
        if (a1 > ne0) continue;        /* a key that this token does not see */
        for (int r = 0; r < cut_node_rows(s, n); r++) {
            if (!covers(e, &s->tok[cut_row_token(s, n, r)])) continue;
            float *x = (float *)((char *)cut_value_at(&s->kept, i) + (size_t)r * cut_value_stride(n, s->P));
            for (int64_t b = b0; b < b1; b++)
                for (int64_t a = a0; a < a1; a++)
                    x[b * ne0 + a] = e->op == CUT_EDIT_SET ? e->value : x[b * ne0 + a] * e->value;
            any = true;
        }
    }
    return any;
}

enum cut_status cut_watch_node(struct cut_session *s, int node, struct cut_err *err) {
    if (s->n_edit) apply_edits(s, node);
    return s->n_probe ? call_probes(s, node, err) : CUT_OK;
}

/* Which values of the present pass does an edit reach? Along the inputs; and through the cache, from a token's K and V to every
 * token after it, in later passes too. */
static void trace_edits(struct cut_session *s) {
    memset(s->edited, 0, (size_t)s->graph.n * sizeof *s->edited);
    for (size_t k = 0; k < s->n_edit && s->T; k++) {
        const struct cut_edit *e = &s->edit[k];
        bool now = false, before = false;
        for (int t = 0; t < s->T; t++) {
            now = now || covers(e, &s->tok[t]);
            before = before || (s->tok[t].seq == e->seq && s->tok[t].pos > e->pos0);
        }
        /* First as the edit's own tokens see it, then, if there are later ones here, what reaches them through the cache. */
        bool *here = s->trace, cache_touched = false;
        memset(here, 0, (size_t)s->graph.n * sizeof *here);
        for (int i = 0; i < s->graph.n; i++) {
            const struct cut_node *n = &s->graph.node[i];
            here[i] = cut_node_is(n, e->step);
            for (int j = 0; j < n->n_in; j++) here[i] = here[i] || here[n->in[j]];
            if (n->op == CUT_OP_KV_STORE) cache_touched = here[i];
            if (n->op == CUT_OP_SCORES || n->op == CUT_OP_MIX) here[i] = here[i] || cache_touched;
            s->edited[i] = s->edited[i] || (now && here[i]);
        }
        if (!before) continue;
        bool *later = here;            /* rewritten in place: an entry is read before it is replaced, in node order */
        cache_touched = false;
        for (int i = 0; i < s->graph.n; i++) {
            const struct cut_node *n = &s->graph.node[i];
            bool own = later[i], by_input = false;
            for (int j = 0; j < n->n_in; j++) by_input = by_input || later[n->in[j]];
            if (n->op == CUT_OP_KV_STORE) {
                cache_touched = own;
                later[i] = by_input;
            } else {
                later[i] = by_input || ((n->op == CUT_OP_SCORES || n->op == CUT_OP_MIX) && cache_touched);
            }
            s->edited[i] = s->edited[i] || later[i];
        }
    }
}

void cut_watch_update(struct cut_session *s) {
    bool plain = s->opts.plain_attention, looked_at = s->n_edit || s->n_probe;
    for (int i = 0; i < s->graph.n && looked_at; i++) {
        const struct cut_node *n = &s->graph.node[i];
        if (n->op != CUT_OP_SCORES && n->op != CUT_OP_SOFTMAX) continue;
        for (size_t k = 0; k < s->n_edit; k++) plain = plain || cut_node_is(n, s->edit[k].step);
        for (size_t k = 0; k < s->n_probe; k++)
            plain = plain || (s->probe[k].flags & CUT_PROBE_EDIT && cut_node_matches(n, s->probe[k].pattern));
    }
    s->plain = plain;
    trace_edits(s);
}

bool cut_session_is_plain(const struct cut_session *s) { return s->plain; }

static enum cut_status check_edit(const struct cut_session *s, const struct cut_edit *e, struct cut_err *err) {
    int i = memchr(e->step, 0, sizeof e->step) ? find_node(s, e->step) : -1;
    if (i < 0) return cut_fail(err, CUT_EUSAGE, "\"%.60s\": no step of this program has that name", e->step);
    const struct cut_node *n = &s->graph.node[i];
    if (n->op == CUT_OP_QUANTIZE || n->op == CUT_OP_ROUND || n->op == CUT_OP_KV_STORE || n->op == CUT_OP_SAMPLE)
        return cut_fail(err, CUT_EUSAGE, "%s cannot be edited itself; edit the value it reads, %s", n->name, s->graph.node[n->in[0]].name);
    int64_t ne0 = cut_dim_at(n->ne[0], 1, s->opts.n_ctx, 1);
    if (e->i0 < -1 || e->i0 >= ne0) return cut_fail(err, CUT_EUSAGE, "%s: index %d is not in 0 to %lld", n->name, e->i0, (long long)ne0 - 1);
    if (e->i1 < -1 || e->i1 >= n->ne[1].n) return cut_fail(err, CUT_EUSAGE, "%s: head %d is not in 0 to %d", n->name, e->i1, n->ne[1].n - 1);
    if (e->seq < 0 || e->seq >= s->opts.n_seq) return cut_fail(err, CUT_EUSAGE, "sequence %d is not in 0 to %d", e->seq, s->opts.n_seq - 1);
    if (e->pos0 < 0 || (e->pos1 >= 0 && e->pos1 < e->pos0)) return cut_fail(err, CUT_EUSAGE, "positions %d to %d make no range", e->pos0, e->pos1);
    if (!isfinite(e->value)) return cut_fail(err, CUT_EUSAGE, "the value %g is not a finite number", e->value);
    return CUT_OK;
}

/* Compute again from the first token that edit e covers, up to the place where we are. */
static enum cut_status replay(struct cut_session *s, struct cut_edit e, struct cut_err *err) {
    int cur = s->cur, pc = s->pc, first = cut_session_pass_of(s, e.seq, e.pos0, NULL);
    cut_watch_update(s);
    if (cur < 0 || first < 0 || first > cur) return CUT_OK;     /* nothing evaluated yet is touched */
    cut_pass_rewind(s, first);
    return cut_session_seek(s, cur, pc, err);
}

enum cut_status cut_session_edit(struct cut_session *s, const struct cut_edit *e, struct cut_err *err) {
    enum cut_status st = check_edit(s, e, err);
    if (!st) st = cut_grow(&s->edit, &s->cap_edit, s->n_edit, sizeof *e, "edits", err);
    if (st) return st;
    s->edit[s->n_edit++] = *e;
    return replay(s, *e, err);
}

enum cut_status cut_session_undo(struct cut_session *s, struct cut_err *err) {
    if (!s->n_edit) return cut_fail(err, CUT_EUSAGE, "there is no edit to undo");
    return replay(s, s->edit[--s->n_edit], err);
}

int cut_session_edits(const struct cut_session *s, const struct cut_edit **out) {
    *out = s->edit;
    return (int)s->n_edit;
}
