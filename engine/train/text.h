/* text.h - what a training run reads: documents as token ids, and how batches are drawn from them. Internal. */
#ifndef CUT_TEXT_H
#define CUT_TEXT_H

#include "engine/train/diff.h"

/* Documents of a file, each from its BOS token up to its end token. */
struct cut_corpus {
    int32_t *id;
    size_t *start;                     /* [n + 1] */
    size_t n, n_cut;                   /* documents; those that were longer than the context and lost their end */
    int longest;
    uint64_t hash;                     /* of the ids: the same text and vocabulary give the same */
};

/* A file in which every document starts with the text of the BOS token ("<s>"). What stands between a document's end
 * token and the next start is ignored. A file without any is one text, cut into pieces of the context's length. */
enum cut_status cut_corpus_read(struct cut_corpus *c, const char *path, const struct cut_vocab *v, int n_ctx, struct cut_err *err);
void cut_corpus_done(struct cut_corpus *c);

enum cut_status cut_rows_new(struct cut_rows *r, int max_tokens, struct cut_err *err);
void cut_rows_done(struct cut_rows *r);

/* Fill a batch up to max_tokens: a share `repeats` of its tokens as random lists said again (below), the rest documents drawn
 * at random, whole. The same state gives the same batch. */
void cut_rows_draw(struct cut_rows *r, int max_tokens, const struct cut_corpus *c, const struct cut_vocab *v, int n_ctx,
                   float repeats, uint64_t state);
/* Fill it with whole documents from *doc on; advances *doc. False: none were left. */
bool cut_rows_next(struct cut_rows *r, int max_tokens, const struct cut_corpus *c, size_t *doc);

#endif
