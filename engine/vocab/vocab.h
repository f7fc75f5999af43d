/* vocab.h - the vocabulary as encoders see it. Internal. */
#ifndef CUT_VOCAB_H
#define CUT_VOCAB_H

#include "engine/base/base.h"

#define CUT_SPACE "\xe2\x96\x81"       /* U+2581, which SentencePiece writes for a space */

struct cut_token {
    const char *piece;         /* terminated */
    uint32_t len;
    float score;
    enum cut_token_kind kind;
};

struct cut_vocab {
    int n;
    struct cut_token *token;   /* [n] */
    char *pieces;              /* what token[].piece points into */
    int32_t bos, eos, unknown; /* -1: none */
    int32_t end[3];            /* generation stops at these */
    int n_end;
    bool add_bos, add_space;
    int32_t byte[256];         /* the token of each byte, -1: none */
    int32_t *slot;             /* hash table: open addressing, -1 is empty */
    uint32_t mask;             /* its size less one */

    /* Tokens that are looked for in the text before anything is merged: user-defined and control tokens as the text
     * would hold them (U+2581 read as a space). Those that begin with byte b are mark[first[b]] to mark[first[b + 1]],
     * the longest first. */
    struct cut_mark { const char *text; uint32_t len; int32_t id; bool control; } *mark;
    char *mark_text;
    int first[257];
};

/* The token a run of bytes is, -1: none. Control, unknown and byte tokens are never found: text cannot spell them. */
int32_t cut_vocab_lookup(const struct cut_vocab *v, const char *s, size_t len);

#endif
