/* program.c - compiling: lowering to what the kernels run, fusing neighbours, laying out values. */
#include "engine/graph/program.h"

/* How a product wants its activations: as they are (0), rounded to bfloat16 (1), or to 8 bits in blocks of 32 or 256. */
static int wants(const struct cut_tensor_info *w, const struct cut_kernels *k, bool activations_f32) {
    if (activations_f32) return 0;
    if (k->mm_q8[w->type] && w->ne[0] % 32 == 0) return cut_q8_block(w->type);
    return w->type == CUT_BF16;
}

enum cut_status cut_graph_lower(struct cut_graph *out, const struct cut_graph *g, const struct cut_kernels *k, bool activations_f32,
                                struct cut_arena *arena, struct cut_err *err) {
    struct cut_graph low = { .arena = arena };
    int *now = cut_calloc((size_t)g->n, sizeof *now, "graph", err);        /* where each old node went */
    int *rounded = cut_calloc((size_t)g->n * 3, sizeof *rounded, "graph", err);  /* its rounded copies + 1, by their block: 1, 32, 256 */
    if (!now || !rounded) low.failed = true;
    for (int i = 0; i < g->n && !low.failed; i++) {
        struct cut_node n = g->node[i];
        int block = n.op == CUT_OP_MATMUL ? wants(n.w, k, activations_f32) : 0;
        if (block) {
            int *y = &rounded[n.in[0] * 3 + (block > 1) + (block > 32)];
            if (!*y) *y = cut_graph_round(&low, block, now[n.in[0]]) + 1;
            n.in[0] = *y - 1;
        } else {
            for (int j = 0; j < n.n_in; j++) n.in[j] = now[n.in[j]];
        }
        if (low.failed || cut_grow(&low.node, &low.cap, (size_t)low.n, sizeof n, "graph", NULL)) {
            low.failed = true;
            break;
        }
        now[i] = low.n;
        low.node[low.n++] = n;
    }
    free(now);
    free(rounded);
    if (low.failed) {
        free(low.node);
        return cut_fail(err, CUT_ENOMEM, "out of memory: a graph of %d nodes", g->n);
    }
    *out = low;
    return CUT_OK;
}

/* ---- fusion: the longest rule that matches at node i */

static bool reads(const struct cut_node *n, int x) {
    for (int j = 0; j < n->n_in; j++)
        if (n->in[j] == x) return true;
    return false;
}

static struct cut_prog_step fuse(const struct cut_graph *g, int i) {
    const struct cut_node *n = &g->node[i];
    enum cut_op next[3];
    for (int j = 0; j < 3; j++) next[j] = i + j < g->n ? n[j].op : CUT_OP_COUNT;

    if (next[0] == CUT_OP_RMS_NORM && next[1] == CUT_OP_QUANTIZE && reads(&n[1], i))
        return (struct cut_prog_step){ CUT_FUSE_NORM_QUANTIZE, i, 2 };
    if (next[0] == CUT_OP_MATMUL && next[1] == CUT_OP_MATMUL && n[0].in[0] == n[1].in[0]) {
        if (next[2] == CUT_OP_SILU_MUL && reads(&n[2], i) && reads(&n[2], i + 1))
            return (struct cut_prog_step){ CUT_FUSE_GATE_UP, i, 3 };
        if (next[2] == CUT_OP_MATMUL && n[0].in[0] == n[2].in[0]) return (struct cut_prog_step){ CUT_FUSE_MATMULS, i, 3 };
        return (struct cut_prog_step){ CUT_FUSE_MATMULS, i, 2 };
    }
    if (next[0] == CUT_OP_MATMUL && next[1] == CUT_OP_ADD && reads(&n[1], i) && n[1].in[0] != n[1].in[1])
        return (struct cut_prog_step){ CUT_FUSE_MATMUL_ADD, i, 2 };
    if (next[0] == CUT_OP_ROPE && next[1] == CUT_OP_ROPE && next[2] == CUT_OP_KV_STORE && reads(&n[2], i + 1))
        return (struct cut_prog_step){ CUT_FUSE_ROPE_STORE, i, 3 };
    if (next[0] == CUT_OP_SCORES && next[1] == CUT_OP_SOFTMAX && next[2] == CUT_OP_MIX)
        return (struct cut_prog_step){ CUT_FUSE_ATTENTION, i, 3 };
    return (struct cut_prog_step){ CUT_FUSE_NONE, i, 1 };
}

/* From the step that writes a value to the last that reads it; logits and what follows live until the next pass. */
static void lifetimes(struct cut_program *p) {
    for (int s = 0; s < p->n_steps; s++)
        for (int i = p->step[s].first; i < p->step[s].first + p->step[s].n; i++) {
            const struct cut_node *n = &p->g->node[i];
            p->born[i] = s;
            p->last[i] = n->ne[2].sym == 'O' ? p->n_steps : s;
            for (int j = 0; j < n->n_in; j++) p->last[n->in[j]] = cut_max(p->last[n->in[j]], s);
        }
}

enum cut_status cut_program_init(struct cut_program *p, const struct cut_graph *g, bool keep, struct cut_err *err) {
    size_t n = (size_t)g->n;
    *p = (struct cut_program){ .g = g, .keep = keep };
    p->step = cut_calloc(n, sizeof *p->step, "program", err);
    p->offset = cut_calloc(n, sizeof *p->offset, "program", err);
    p->born = cut_calloc(n, sizeof *p->born, "program", err);
    p->last = cut_calloc(n, sizeof *p->last, "program", err);
    if (!p->step || !p->offset || !p->born || !p->last) {
        cut_program_done(p);
        return CUT_ENOMEM;
    }
    for (int i = 0; i < g->n; i += p->step[p->n_steps++].n)
        p->step[p->n_steps] = keep ? (struct cut_prog_step){ CUT_FUSE_NONE, i, 1 } : fuse(g, i);
    lifetimes(p);
    return CUT_OK;
}

void cut_program_done(struct cut_program *p) {
    free(p->step);
    free(p->offset);
    free(p->born);
    free(p->last);
    *p = (struct cut_program){ 0 };
}

/* ---- layout */

size_t cut_value_stride(const struct cut_node *n, int P) {
    size_t width = (size_t)cut_node_width(n, P);
    return n->op == CUT_OP_QUANTIZE ? cut_q8_bytes((int)width) : n->op == CUT_OP_KV_STORE ? 0 : width * sizeof(float);
}

size_t cut_graph_token_bytes(const struct cut_graph *g, int P) {
    size_t sum = 0;
    for (int i = 0; i < g->n; i++) sum += cut_value_stride(&g->node[i], P);
    return sum;
}

/* Values that are not stored: the cache takes K and V, and a fused attention never writes scores or pattern. */
static bool has_place(const struct cut_program *p, int i) {
    enum cut_op op = p->g->node[i].op;
    return op != CUT_OP_KV_STORE && (p->keep || (op != CUT_OP_SCORES && op != CUT_OP_SOFTMAX));
}

static size_t value_bytes(const struct cut_program *p, int i) {
    const struct cut_node *n = &p->g->node[i];
    return has_place(p, i) ? cut_round_up(cut_value_stride(n, p->cap_P) * (size_t)(n->ne[2].sym == 'O' ? p->cap_O : p->cap_T), CUT_ALIGN) : 0;
}

/* Each value takes the lowest place that no value alive at the same time overlaps. Steps of the program are the unit of time:
 * everything a fused step touches is alive throughout it. */
void cut_program_layout(struct cut_program *p, int T, int P, int O) {
    p->cap_T = T;
    p->cap_P = P;
    p->cap_O = O;
    p->bytes = 0;
    for (int i = 0; i < p->g->n; i++) {
        size_t need = value_bytes(p, i), at = 0;
        for (bool moved = true; moved && !p->keep;) {
            moved = false;
            for (int j = 0; j < i; j++) {
                size_t size = value_bytes(p, j);
                if (size && p->last[j] >= p->born[i] && at < p->offset[j] + size && p->offset[j] < at + need) {
                    at = p->offset[j] + size;
                    moved = true;
                }
            }
        }
        p->offset[i] = p->keep ? p->bytes : at;
        if (p->offset[i] + need > p->bytes) p->bytes = p->offset[i] + need;
    }
}
