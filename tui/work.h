/* work.h - the worker: a session on a thread of its own, so that the screen never waits for the engine.
 *
 * The screen thread posts commands and looks at snapshots. A snapshot is what the views draw, copied out of the session
 * after a command: nobody changes it any more, and references to it are counted. What a snapshot should hold beyond the
 * listing and the tokens, the screen says by a watch: which step's value, which cell to take apart, which attention.
 *
 *   screen thread                         worker thread (and its pool)
 *   tui_work_post(step) ---- queue ---->  cut_session_step ...
 *   tui_work_watch(cell) - latest ----->  cut_session_value, cut_session_explain
 *   tui_work_get  <------ latest -------  a new snapshot; tui_work_fd becomes readable
 *
 * When no command waits the comparison of builds goes on (compare.h), a little at a time; and when that has nothing left to do,
 * measuring (perf.h), which so has the machine for itself.
 */
#ifndef TUI_WORK_H
#define TUI_WORK_H

#include "engine/cutaway.h"
#include "tui/compare.h"
#include "tui/heads.h"
#include "tui/perf.h"

struct tui_work;

struct tui_work_opts {
    int n_ctx, threads;            /* 0: the engine's choice; all processors */
    enum cut_tier tier;
};

/* ---- what the screen asks for */

enum tui_cmd_kind {
    TUI_CMD_PROMPT,                /* text: forget the tokens, begin with these */
    TUI_CMD_STEP,                  /* n steps forward (negative: back) */
    TUI_CMD_SEEK,                  /* to the moment before step n of pass `pass` */
    TUI_CMD_RUN,                   /* to the end of what is queued, or the next breakpoint */
    TUI_CMD_NEXT,                  /* feed the token the pass chose; n = 1: and run it */
    TUI_CMD_GENERATE,              /* n tokens, each the one its pass chose */
    TUI_CMD_BREAK,                 /* set a breakpoint on pattern `text`, above f; or drop it when it is set */
    TUI_CMD_EDIT,                  /* edit */
    TUI_CMD_UNDO,
    TUI_CMD_OPEN,                  /* text: another model file */
    TUI_CMD_RESET,                 /* a new session: cache, breakpoints, edits */
    TUI_CMD_COMPARE,               /* cmp, text: see compare.h */
    TUI_CMD_PERF,                  /* perf, text: see perf.h */
};
struct tui_cmd {
    enum tui_cmd_kind kind;
    int n, pass;
    float above;
    struct cut_edit edit;
    struct tui_cmp_ask cmp;
    struct tui_perf_ask perf;
    const char *text;              /* copied by tui_work_post */
};

/* What to look at. Fields that are -1 leave the choice to the worker: the step just made, the last token of the pass, the
 * cell of largest magnitude. */
struct tui_watch {
    int step, pos;
    int64_t row, col;
    bool explain;                  /* take the cell apart */
    int attn_layer;                /* the attention of this layer; -1: none */
    int attn_head, attn_pos;       /* the head and the query to look at closely; attn_pos -1: the last there is */
    enum cut_attn_stage attn_stage;
    bool attn_heads;               /* score the heads of all layers, too */
    struct tui_cmp_watch cmp;
};

/* ---- what it gets */

struct tui_token { int32_t id; char text[24]; };    /* text: as it stands in the text, cut at a character */

/* A model and its program. Shared by snapshots. */
struct tui_listing {
    int refs;
    char name[64], type[16], arch[32];
    struct cut_config config;
    enum cut_tier tier;
    int threads, n_ctx;
    int n_steps;
    struct cut_step *step;         /* strings live in `text` */
    struct tui_shape { int64_t cols, rows; bool keys; } *shape;    /* of one token's value; keys: a column per visible cell */
    char *text;
};

/* The value of a step for one token: a plane of rows and columns. For a value of heads the plane is the token's heads;
 * otherwise its rows are the pass's tokens, as many around the watched one as fit a million floats. */
struct tui_value {
    int refs;
    int step, pos;                 /* pos: of the watched token */
    bool heads;
    int64_t ne[3];
    char axis[3][12];
    enum cut_tag tag;
    bool edited;
    int64_t rows, cols;            /* of the whole plane */
    int64_t row0, n_rows;          /* the rows copied */
    float *data;                   /* n_rows x cols; NULL: the pass has not come to this step */
    int64_t token_row;             /* the watched token: its row of the plane; -1 in a plane of heads */
    struct cut_stats stats;        /* of the watched token's numbers */
};

/* The attention pattern of a layer: for each head the rows [row0, row0 + n_rows) of a matrix of n queries and n keys, as
 * many around the watched query as fit half a million floats. Keys in a query's future are NAN. Shared by snapshots. */
struct tui_pattern {
    int refs;
    uint64_t key;                  /* of the tokens and edits it was computed from */
    int layer, n_head, n;
    int row0, n_rows;
    int real0;                     /* queries from here on are REAL, those before DERIVED */
    bool edited;                   /* an edit reaches the layer's pattern in the pass under way */
    float *data;                   /* n_head x n_rows x n */
};

/* What the heads of all layers do, by their patterns. Shared by snapshots. */
struct tui_heads {
    int refs;
    int n_layer, n_head;
    struct tui_heads_of { uint64_t key; int n, rows; } *layer;     /* from the last `rows` queries of n; 0: not known */
    struct tui_head_scores *head;                                  /* n_layer x n_head */
};

struct tui_attn {
    int head, query;               /* looked at closely; query -1: the layer has no token yet */
    enum cut_attn_stage stage;
    const struct tui_pattern *pattern;
    float *rows;                   /* the pattern's rows for `head` at `stage`; NULL: the stage is the pattern itself */
    float *stages;                 /* 4 x n: the query's row for `head`, by stage */
    const struct tui_heads *heads; /* NULL: not asked */
};

struct tui_snap {
    int refs;
    uint64_t seq;
    const struct tui_listing *list;        /* NULL: no model is open */
    struct cut_where where;
    int n_tokens, n_done;                  /* tokens in the sequence; of these, evaluated */
    struct tui_token *token;
    float *time;                           /* seconds of each step when it last ran alone; 0: not measured */
    int n_breaks, n_edits;
    struct cut_break *brk;
    struct cut_edit *edit;

    struct tui_watch watch;                /* what was asked */
    int step, pos;                         /* what it came to: the step looked at (-1: none yet), the token's position */
    int64_t row, col;                      /* the cell in the value's plane */
    const struct tui_value *value;         /* NULL: no step to look at */
    /* What the step reads for the token of the cell, in the order of step->in, without its other tokens; and the row of
     * its weights that the cell comes from (row0 tells which; tag and step mean nothing). NULL: none, or a command runs. */
    const struct tui_value *in[3], *weight;
    enum cut_type weight_type;
    uint64_t cost_bytes, cost_flops;       /* of that step */
    bool has_explain;
    struct cut_explain explain;
    struct cut_err explain_err;            /* why not */
    struct tui_attn *attn;                 /* NULL: not asked, or not to be had */
    const struct tui_cmp *cmp;             /* builds beside each other; NULL: not begun */
    const struct tui_perf *perf;           /* speed; NULL: no model is open */

    int n_top;                             /* the most likely next tokens, at the end of a pass; 0: not there yet */
    struct cut_candidate top[40];
    struct tui_token top_token[40];
    int32_t chosen;                        /* the token the pass chose */
    float top_entropy;                     /* bits, of the whole distribution */

    struct cut_counters counters;
    struct cut_memory memory;
    struct cut_kv_state kv;
    bool running;                          /* a long command is under way; where tells how far it is */
    bool stopped_at_break;
    struct cut_err err;                    /* why the last command failed; code CUT_OK: it did not */
    char said[160];                        /* what it did, for the status line */
};

/* Start a worker on a model (taken, also on failure; NULL: none yet). */
enum cut_status tui_work_new(struct tui_work **out, struct cut_model *m, const struct tui_work_opts *opts,
                             struct cut_err *err);
void tui_work_free(struct tui_work *w);        /* cancels, waits, closes the model */
void tui_work_post(struct tui_work *w, const struct tui_cmd *c);
void tui_work_watch(struct tui_work *w, const struct tui_watch *watch);
bool tui_work_busy(struct tui_work *w);        /* commands wait or run; what goes on between commands does not count */
void tui_work_cancel(struct tui_work *w);      /* drop what waits, stop what runs, also between commands */
/* Readable when a snapshot was published; tui_work_get empties it. */
int tui_work_fd(const struct tui_work *w);
/* The latest snapshot, one reference for the caller; never NULL. */
const struct tui_snap *tui_work_get(struct tui_work *w);
void tui_snap_free(const struct tui_snap *s);  /* drops one reference */
/* Wait until nothing is left to do, also between commands: for scripted terminals, which have time. */
void tui_work_settle(struct tui_work *w);

#endif
