/* perf.h - threads, roofline and where the time goes, between its files: state and keys (perf.c), threads (perf_sweep.c), a pass
 * by its steps (perf_steps.c), roofline (perf_roof.c), contexts, sequences, kernels and saved runs (perf_tables.c), the same bytes or not (perf_same.c), where threads run and what
 * competes with them (perf_place.c), the instructions of a step (perf_code.c). */
#ifndef TUI_VIEW_PERF_H
#define TUI_VIEW_PERF_H

#include "tui/app.h"
#include "tui/perf.h"

enum perf_panel { PERF_SWEEP, PERF_STEPS, PERF_ROOF, PERF_GANTT, PERF_CONTEXT, PERF_BATCH, PERF_KERNELS, PERF_DIFF, PERF_SAME, PERF_PANELS };
enum perf_menu { PERF_NO_MENU, PERF_MENU_RUNS, PERF_MENU_LOADS, PERF_MENU_PLACES, PERF_MENU_CODE };

struct perf_view {
    struct tui_app *app;
    const struct tui_perf *perf;       /* the snapshot's; NULL: no model is open */
    bool times;                        /* false: figures that depend on the clock show as "~", and are no points of a plot */
    enum perf_panel focus, below;      /* below: what the last row of a large screen holds: PERF_CONTEXT, PERF_BATCH, PERF_DIFF or PERF_SAME */
    enum tui_plane_level level;
    bool what_if;
    int layer;                         /* of the Gantt picture; n_layer: what comes after the layers */
    int zoom;                          /* of it: 1 / 2^zoom of the layer's time is shown, around */
    double moment;                     /* the cursor, 0 to 1 of that time */
    struct tui_list table, steps, ops, kernels, gantt, diff, same;
    enum perf_menu menu;
    struct tui_list menu_list;         /* of runs or loads */
    bool marked[64];                   /* of the places: machine.cpu[i] is to be used; */
    int place;                         /* the one under the cursor */
    unsigned step_kinds[TUI_PERF_KINDS + 1];       /* of the rows where a pass goes, as drawn last: bits of 1 << enum tui_perf_kind */
    const char *step_names[TUI_PERF_KINDS + 1];
    int code_row, code_line;           /* the instructions of what: a row there, a line of its steps */
    struct tui_list code;
    int code_rows;                     /* of it in view, as drawn last */
    char code_find[64];
    char (*runs)[24];
    char read[240];                    /* what the status row said when the last key came */
    struct tui_area area[PERF_PANELS]; /* where the panels were drawn last; empty: they were not */
};

/* The frame of a panel, which is remembered for the mouse. */
struct tui_area perf_pane(struct perf_view *v, struct tui_area a, enum perf_panel p, const char *title, const char *right);
/* A figure that depends on the clock, or "~". */
const char *perf_figure(const struct perf_view *v, char buf[32], const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A speed in at most 6 characters, an operation rate "610 G", a rate of bytes "38.0 GB/s". */
const char *perf_tps(const struct perf_view *v, double tps, char buf[32]);
const char *perf_ops_rate(const struct perf_view *v, double rate, char buf[32]);
const char *perf_gb(const struct perf_view *v, double rate, char buf[32]);
/* What stands in a panel before anything was measured for it. */
void perf_nothing(struct tui_area in, const char *what);
/* The thread counts of the sweep, rising; returns how many. */
int perf_counts(const struct tui_perf *p, int out[TUI_PERF_POINTS]);

void perf_draw_plot(struct perf_view *v, struct tui_area a);
void perf_draw_table(struct perf_view *v, struct tui_area a);
void perf_draw_steps(struct perf_view *v, struct tui_area a);
void perf_draw_gantt(struct perf_view *v, struct tui_area a);
/* Its keys: the cursor to the left and right, zoom in and out. False: not one of these. */
bool perf_gantt_key(struct perf_view *v, int key);
void perf_draw_roof(struct perf_view *v, struct tui_area a);
void perf_draw_context(struct perf_view *v, struct tui_area a);
void perf_draw_batch(struct perf_view *v, struct tui_area a);
void perf_draw_kernels(struct perf_view *v, struct tui_area a);
void perf_draw_diff(struct perf_view *v, struct tui_area a);
void perf_draw_same(struct perf_view *v, struct tui_area a);
void perf_draw_menu(struct perf_view *v, struct tui_area screen);
void perf_draw_loads(struct perf_view *v, struct tui_area screen);
void perf_draw_places(struct perf_view *v, struct tui_area screen);
/* A key of the places' overlay: marks, moves. False: not one of these. */
bool perf_place_key(struct perf_view *v, int key);
/* In the status row: how far the point under way is, exactly, and the plan. */
void perf_draw_job(const struct perf_view *v, struct tui_area row);
/* What is marked, in the order of the cores. */
struct tui_perf_pin perf_marked(const struct perf_view *v);
void perf_draw_code(struct perf_view *v, struct tui_area screen);
/* What the overlay shows is to be counted, if it is not there: true, and what. */
bool perf_code_wanted(const struct perf_view *v, struct tui_perf_kernel *out);
/* A key of the instructions' overlay. False: not one of these. */
bool perf_code_key(struct perf_view *v, int key);
/* To the next (1) or the previous (-1) instruction with code_find in it; false: there is none. */
bool perf_code_find(struct perf_view *v, int direction);
/* All of them, as the size allows. */
void perf_draw(struct perf_view *v, struct tui_area a);

#endif
