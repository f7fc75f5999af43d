/* recipe.c - which tensors deserve better formats when the bytes are limited.
 *
 * Greedy, by value for money: all tensors start in the low format; of all single changes that still fit, the one that saves most KL for a
 * byte is made, until none fits. This is the greedy for the knapsack problem (Dantzig 1957), which is near the best when single
 * items are small beside the budget. That the damages of single tensors add up is an assumption; measuring the result tells how good it was. */
#include <math.h>

#include "engine/base/base.h"

struct choice { int tensor; enum cut_type type; double saves; int64_t more; };

/* Is a the better buy? A change that costs nothing always is. */
static bool better_buy(const struct choice *a, const struct choice *b) {
    if (a->more <= 0 || b->more <= 0) return a->more <= 0 && (b->more > 0 || a->saves > b->saves);
    return a->saves * (double)b->more > b->saves * (double)a->more;
}

/* What a tensor starts as: the low format, or where its rows do not fit that, the smallest of the others that they fit. */
static void start_at(const struct cut_sens *s, int i, enum cut_type low, const enum cut_type *better, int n_better, struct cut_sens_row *now) {
    struct cut_sens_row row;
    cut_sens_get(s, i, low, now);
    for (int k = 0; k < n_better && now->to != low; k++) {
        cut_sens_get(s, i, better[k], &row);
        if (row.fits && row.bytes_to < now->bytes_to) *now = row;
    }
}

/* Everything that the choices need to know. */
static enum cut_status measure_all(struct cut_sens *s, enum cut_type low, const enum cut_type *better, int n_better,
                                   cut_progress_fn progress, void *user, struct cut_err *err) {
    struct cut_sens_row row;
    int total = (n_better + 1) * cut_sens_tensors(s), done = 0;
    for (int k = -1; k < n_better; k++)
        for (int i = 0; i < cut_sens_tensors(s); i++) {
            enum cut_status st = cut_sens_measure(s, i, k < 0 ? low : better[k], &row, err);
            if (st) return st;
            if (progress && !progress(user, (double)++done / total, row.tensor))
                return cut_fail(err, CUT_ECANCEL, "the recipe was stopped");
        }
    return CUT_OK;
}

enum cut_status cut_recipe(struct cut_sens *s, enum cut_type low, const enum cut_type *better, int n_better, uint64_t budget,
                           struct cut_recipe_step *step, int cap, int *n, uint64_t *size, double *kl, cut_progress_fn progress,
                           void *user, struct cut_err *err) {
    struct cut_sens_row row;
    int n_tensors = cut_sens_tensors(s), made = 0;
    uint64_t bytes = 0;
    double damage = 0;
    enum cut_status st = measure_all(s, low, better, n_better, progress, user, err);
    if (st) return st;
    struct cut_sens_row *now = cut_calloc((size_t)n_tensors, sizeof *now, "a recipe", err);     /* each tensor as it stands */
    if (!now) return CUT_ENOMEM;
    for (int i = 0; i < n_tensors; i++) {
        start_at(s, i, low, better, n_better, &now[i]);
        bytes += now[i].bytes_to;
        damage += now[i].kl;
    }
    if (bytes > budget) {
        free(now);
        return cut_fail(err, CUT_EUSAGE, "a budget of %llu bytes: all tensors in %s already take %llu", (unsigned long long)budget,
                        cut_type_info(low)->name, (unsigned long long)bytes);
    }
    if (size) *size = bytes;
    if (kl) *kl = damage;
    while (made < cap) {
        struct choice best = { .tensor = -1 };
        for (int i = 0; i < n_tensors; i++)
            for (int k = 0; k < n_better; k++) {
                cut_sens_get(s, i, better[k], &row);
                struct choice c = { i, better[k], now[i].kl - row.kl, (int64_t)row.bytes_to - (int64_t)now[i].bytes_to };
                bool room = c.more <= 0 || (uint64_t)c.more <= budget - bytes;
                if (row.fits && c.saves > 0 && room && (best.tensor < 0 || better_buy(&c, &best))) best = c;
            }
        if (best.tensor < 0) break;
        bytes = (uint64_t)((int64_t)bytes + best.more);
        damage -= best.saves;
        step[made++] = (struct cut_recipe_step){ .tensor = best.tensor, .name = now[best.tensor].tensor, .from = now[best.tensor].to,
                                                 .to = best.type, .more = best.more, .saves = best.saves, .size = bytes, .kl = damage };
        cut_sens_get(s, best.tensor, best.type, &now[best.tensor]);
    }
    free(now);
    *n = made;
    return CUT_OK;
}

size_t cut_recipe_text(const struct cut_recipe_step *step, int n, char *out, size_t cap) {
    size_t len = 0;
    if (cap) out[0] = 0;
    for (int i = 0; i < n; i++) {
        bool last = true;              /* a tensor raised twice is named once, as it ends up */
        for (int k = i + 1; k < n; k++) last = last && step[k].tensor != step[i].tensor;
        if (last)
            len += (size_t)snprintf(len < cap ? out + len : NULL, len < cap ? cap - len : 0, "--tensor-type %s=%s\n", step[i].name,
                                    cut_type_info(step[i].to)->name);
    }
    return len;
}
