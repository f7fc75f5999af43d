/* kv.h - the key/value cache: pages of cells, page tables per sequence, reference counts. Internal.
 *
 * A page holds CUT_KV_PAGE cells of one layer's K, and the page of the same number holds them in every layer and in V. A sequence
 * owns a table of pages; forked sequences share pages (Kwon et al. 2023, section 4.4) until one of them writes into a shared page,
 * which copies it first. Cell c of a sequence holds its token at position c.
 */
#ifndef CUT_KV_H
#define CUT_KV_H

#include "engine/kernels/kern.h"

struct cut_kv_seq { int32_t *table; int n; };      /* n cells in use; table has a page for each CUT_KV_PAGE of them */

struct cut_kv_cache {
    int n_layer, n_head_kv, head_dim, n_seq, n_ctx, n_pages;
    enum cut_type type;
    size_t page_bytes;         /* of K, in one layer */
    uint8_t *data;             /* [layer][K, V][page] */
    int32_t *refs, *free;      /* references to each page; the stack of free pages */
    int n_free;
    struct cut_kv_seq *seq;
    int32_t *tables;
};

enum cut_status cut_kv_init(struct cut_kv_cache *kv, const struct cut_config *c, enum cut_type type, int n_ctx, int n_seq,
                            struct cut_err *err);
void cut_kv_done(struct cut_kv_cache *kv);
/* Make room for one more cell at the end of a sequence. CUT_EFULL: the sequence, or the cache, is full. */
enum cut_status cut_kv_append(struct cut_kv_cache *kv, int seq, struct cut_err *err);
void cut_kv_truncate(struct cut_kv_cache *kv, int seq, int n);
void cut_kv_fork(struct cut_kv_cache *kv, int src, int dst);
/* Store one token's K and V, [n_head_kv][head_dim] floats each, in a cell. */
void cut_kv_store(struct cut_kv_cache *kv, const struct cut_kernels *k, int layer, int seq, int cell, const float *kx, const float *vx);
/* One head of a cell as floats, head_dim of them; v: of V instead of K. */
void cut_kv_load(const struct cut_kv_cache *kv, int layer, int seq, int cell, int head, bool v, float *out);
/* What the attention kernels read. */
struct cut_attn cut_kv_view(const struct cut_kv_cache *kv, int layer, int seq, int n_vis, int n_head);
int cut_kv_used(const struct cut_kv_cache *kv);    /* cells of all sequences; shared ones count once per page */

#endif
