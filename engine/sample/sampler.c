/* sampler.c - from logits to the next token.
 *
 * The chain, in llama.cpp's order; each stage hands the next a smaller set of candidates:
 *
 *   penalty      a token seen among the last repeat_last: l / r if l > 0, else l * r  (Keskar et al. 2019, section 4.1)
 *   top-k        the k largest logits                                                 (Fan et al. 2018, section 5)
 *   top-p        the smallest set whose softmax sums to p or more, the nucleus        (Holtzman et al. 2020, section 3)
 *   min-p        those with softmax >= p times the largest; taking logarithms,
 *                l >= max l + log p                                                   (Nguyen et al. 2024, section 3)
 *   temperature  p_i = exp(l_i / T) / sum_j exp(l_j / T)
 *   draw         one uniform number in [0, 1) against the running sum of p
 *
 * The softmax of top-p and min-p is over what top-k left, before temperature. Candidates with equal logits stand in the
 * order of their ids, so a draw depends on nothing but the logits, the history and the random state. A logit that is no
 * number counts as -infinity. Nothing here allocates except cut_sampler_new. */
#include <math.h>

#include "engine/base/base.h"

const struct cut_sampler_opts cut_sampler_defaults = {
    .temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f, .repeat_last = 64, .seed = 1,
};

struct cut_sampler {
    struct cut_sampler_opts o;
    int n_vocab;
    uint64_t rng;
    struct cut_candidate *cand;    /* n_vocab of them; the first n are left */
    int n;
    uint32_t *seen;                /* [n_vocab]: the turn in which the penalty last met this token */
    uint32_t turn;
};

enum cut_status cut_sampler_check(const struct cut_sampler_opts *o, struct cut_err *err) {
    /* Written so that a value that is no number fails. */
    if (!(o->temp >= 0 && o->temp < INFINITY))
        return cut_fail(err, CUT_EUSAGE, "--temp %g: must be 0 (greedy) or more", (double)o->temp);
    if (o->top_k < 0) return cut_fail(err, CUT_EUSAGE, "--top-k %d: must be 0 (off) or more", o->top_k);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return cut_fail(err, CUT_EUSAGE, "--top-p %g: must be in (0, 1]", (double)o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return cut_fail(err, CUT_EUSAGE, "--min-p %g: must be in [0, 1]", (double)o->min_p);
    if (!(o->repeat_penalty > 0 && o->repeat_penalty < INFINITY))
        return cut_fail(err, CUT_EUSAGE, "--repeat-penalty %g: must be above 0", (double)o->repeat_penalty);
    if (o->repeat_last < 0)
        return cut_fail(err, CUT_EUSAGE, "--repeat-last %d: must be 0 (off) or more", o->repeat_last);
    return CUT_OK;
}

enum cut_status cut_sampler_new(struct cut_sampler **out, int n_vocab, const struct cut_sampler_opts *o,
                                struct cut_err *err) {
    if (n_vocab < 1) return cut_fail(err, CUT_EUSAGE, "sampler: a vocabulary of %d tokens", n_vocab);
    enum cut_status status = cut_sampler_check(o, err);
    if (status) return status;
    struct cut_sampler *s = cut_calloc(1, sizeof *s, "sampler", err);
    if (!s) return CUT_ENOMEM;
    s->o = *o;
    s->n_vocab = n_vocab;
    s->rng = o->seed;
    s->cand = cut_calloc((size_t)n_vocab, sizeof *s->cand, "sampler candidates", err);
    s->seen = cut_calloc((size_t)n_vocab, sizeof *s->seen, "sampler history", err);
    if (!s->cand || !s->seen) {
        cut_sampler_free(s);
        return CUT_ENOMEM;
    }
    *out = s;
    return CUT_OK;
}

void cut_sampler_free(struct cut_sampler *s) {
    if (!s) return;
    free(s->cand);
    free(s->seen);
    free(s);
}

uint64_t cut_sampler_state(const struct cut_sampler *s) { return s->rng; }
void cut_sampler_set_state(struct cut_sampler *s, uint64_t state) { s->rng = state; }

/* ---- order: heaps instead of full sorts, since what is kept is small and what is dropped need not be in order */

/* Is a the likelier of the two? Never both ways: ids differ. */
static bool likelier(const struct cut_candidate *a, const struct cut_candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

enum top { LEAST, MOST };          /* which candidate stands at the top of the heap */

/* Let the candidate at i sink until neither child belongs above it. */
static void sink(struct cut_candidate *c, int n, int i, enum top top) {
    struct cut_candidate x = c[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && likelier(&c[child + 1], &c[child]) == (top == MOST)) child++;
        if (likelier(&x, &c[child]) == (top == MOST)) break;
        c[i] = c[child];
    }
    c[i] = x;
}

static void heapify(struct cut_candidate *c, int n, enum top top) {
    for (int i = n / 2 - 1; i >= 0; i--) sink(c, n, i, top);
}

static void swap(struct cut_candidate *a, struct cut_candidate *b) {
    struct cut_candidate t = *a;
    *a = *b;
    *b = t;
}

/* Most likely first. Each round moves the least likely of the rest behind it. */
static void sort(struct cut_candidate *c, int n) {
    heapify(c, n, LEAST);
    for (int end = n - 1; end > 0; end--) {
        swap(&c[0], &c[end]);
        sink(c, end, 0, LEAST);
    }
}

/* ---- the stages; each takes n candidates and returns how many are left, in front */

static float number(float logit) { return isnan(logit) ? -INFINITY : logit; }

static float max_logit(const struct cut_candidate *c, int n) {
    float max = -INFINITY;
    for (int i = 0; i < n; i++) if (c[i].logit > max) max = c[i].logit;
    return max;
}

/* exp(l - max), with equal infinities counting as equal. */
static float weight(float logit, float max, float temp) {
    return logit == max ? 1 : expf((logit - max) / temp);
}

static void softmax(struct cut_candidate *c, int n, float temp) {
    float max = max_logit(c, n);
    double sum = 0;
    for (int i = 0; i < n; i++) sum += c[i].p = weight(c[i].logit, max, temp);
    for (int i = 0; i < n; i++) c[i].p = (float)(c[i].p / sum);
}

/* The candidates still stand in the order of their ids. A token counts once, however often it occurs. */
static void penalise(struct cut_sampler *s, const int32_t *history, int n) {
    float r = s->o.repeat_penalty;
    if (r == 1 || !history) return;
    if (++s->turn == 0) {          /* after 2^32 turns the marks mean nothing any more */
        memset(s->seen, 0, (size_t)s->n_vocab * sizeof *s->seen);
        s->turn = 1;
    }
    for (int i = cut_max(0, n - s->o.repeat_last); i < n; i++) {
        int32_t id = history[i];
        if (id < 0 || id >= s->n_vocab || s->seen[id] == s->turn) continue;
        s->seen[id] = s->turn;
        float *l = &s->cand[id].logit;
        *l = *l > 0 ? *l / r : *l * r;
    }
}

/* A heap of the k best so far, the least likely at its top: a newcomer that beats it takes its place. O(n log k), and
 * nearly O(n), since few newcomers do. */
static int top_k(struct cut_candidate *c, int n, int k) {
    if (k < n) {
        heapify(c, k, LEAST);
        for (int i = k; i < n; i++)
            if (likelier(&c[i], &c[0])) {
                c[0] = c[i];
                sink(c, k, 0, LEAST);
            }
        n = k;
    }
    sort(c, n);
    return n;
}

/* Pop the most likely until their probabilities reach p. They gather at the end of the array, the best last. */
static int top_p(struct cut_candidate *c, int n, float p) {
    softmax(c, n, 1);
    heapify(c, n, MOST);
    int kept = 0;
    for (double sum = 0; kept < n && (kept == 0 || sum < (double)p);) {
        sum += (double)c[0].p;
        kept++;
        swap(&c[0], &c[n - kept]);
        sink(c, n - kept, 0, MOST);
    }
    for (int i = n - kept, j = n - 1; i < j; i++, j--) swap(&c[i], &c[j]);
    memmove(c, c + n - kept, (size_t)kept * sizeof *c);
    return kept;
}

static int min_p(struct cut_candidate *c, int n, float p) {
    float least = max_logit(c, n) + logf(p);
    int kept = 0;
    for (int i = 0; i < n; i++) if (c[i].logit >= least) c[kept++] = c[i];
    return kept;
}

static int32_t draw(const struct cut_candidate *c, int n, float u) {
    double sum = 0;
    int last = 0;                  /* rounding may leave the sum below u: then the last that can be drawn */
    for (int i = 0; i < n; i++) {
        if (c[i].p > 0) last = i;
        sum += (double)c[i].p;
        if ((double)u < sum) return c[i].id;
    }
    return c[last].id;
}

int32_t cut_sampler_next(struct cut_sampler *s, const float *logits, const int32_t *history, int n_history) {
    const struct cut_sampler_opts *o = &s->o;
    struct cut_candidate *c = s->cand;
    for (int i = 0; i < s->n_vocab; i++) c[i] = (struct cut_candidate){ .id = i, .logit = number(logits[i]) };
    s->n = s->n_vocab;

    penalise(s, history, n_history);
    if (o->temp == 0) {
        s->n = top_k(c, s->n, 1);
        c[0].p = 1;
        return c[0].id;
    }
    if (o->top_k > 0) s->n = top_k(c, s->n, o->top_k);
    if (o->top_p < 1) s->n = top_p(c, s->n, o->top_p);
    if (o->min_p > 0) s->n = min_p(c, s->n, o->min_p);
    softmax(c, s->n, o->temp);
    return draw(c, s->n, cut_rng_float(&s->rng));
}

/* With every filter off the draw needs no order, so a sort waits until somebody looks. */
const struct cut_candidate *cut_sampler_left(const struct cut_sampler *s, int *n) {
    int i = 1;
    while (i < s->n && likelier(&s->cand[i - 1], &s->cand[i])) i++;
    if (i < s->n) sort(s->cand, s->n);
    *n = s->n;
    return s->cand;
}

int cut_top(const float *logits, int n_vocab, struct cut_candidate *out, int k) {
    k = cut_max(0, cut_min(k, n_vocab));
    if (k == 0) return 0;
    for (int i = 0; i < k; i++) out[i] = (struct cut_candidate){ .id = i, .logit = number(logits[i]) };
    heapify(out, k, LEAST);
    for (int i = k; i < n_vocab; i++) {
        struct cut_candidate x = { .id = i, .logit = number(logits[i]) };
        if (likelier(&x, &out[0])) {
            out[0] = x;
            sink(out, k, 0, LEAST);
        }
    }
    sort(out, k);
    double sum = 0;
    for (int i = 0; i < n_vocab; i++) sum += weight(number(logits[i]), out[0].logit, 1);
    for (int i = 0; i < k; i++) out[i].p = (float)(weight(out[i].logit, out[0].logit, 1) / sum);
    return k;
}
