/* num.h - numbers that fit a column. */
#ifndef TUI_NUM_H
#define TUI_NUM_H

#include <stdint.h>

/* v in at most w columns (4 to 15), with as many of three significant digits as fit: 1.02, -.31, 3.1e-5, nan. The
 * zero before the point is left out. buf holds 16 bytes. */
const char *tui_num(float v, int w, char *buf);
/* The same with `digits` significant digits. */
const char *tui_num_digits(float v, int w, int digits, char *buf);
/* Seconds: "9.4us", "1.3ms", "2.1s"; "" for 0, which means not measured. */
const char *tui_time(double seconds, char *buf);
/* Seconds in four columns, microseconds going without their unit: ".31", "16", "9120", "50ms", ".53s", "12s". */
const char *tui_time_short(double seconds, char *buf);
/* A count: "34944", "1.2M", "3.4G"; bytes: "382 B", "45.0 KiB". */
const char *tui_count(uint64_t n, char *buf);
const char *tui_bytes(uint64_t n, char *buf);

#endif
