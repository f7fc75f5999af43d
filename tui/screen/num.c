/* num.c - formatting. */
#include "tui/screen/num.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* 0.31 to .31, -0.31 to -.31 */
static void drop_zero(char *s) {
    char *p = s + (*s == '-');
    if (p[0] == '0' && p[1] == '.') memmove(p, p + 1, strlen(p));
}

/* 3.1e-05 to 3.1e-5, 1.0e+10 to 1.0e10 */
static void short_exponent(char *s) {
    char *e = strchr(s, 'e');
    if (!e) return;
    char *digits = e + 1 + (e[1] == '+' || e[1] == '-'), *to = e + 1 + (e[1] == '-');
    while (*digits == '0' && digits[1]) digits++;
    memmove(to, digits, strlen(digits) + 1);
}

const char *tui_num_digits(float v, int w, int digits, char *buf) {
    if (w > 15) w = 15;
    if (isnan(v)) return strcpy(buf, "nan");
    if (isinf(v)) return strcpy(buf, v < 0 ? "-inf" : "inf");
    if (v == 0) return strcpy(buf, "0");
    int whole = (int)floor(log10(fabs((double)v))) + 1;     /* digits before the point; negative: zeros after it */
    char s[64];
    for (int sig = digits; sig > 0 && whole <= 7; sig--) {  /* plain, dropping digits until it fits */
        snprintf(s, sizeof s, "%.*f", sig > whole ? sig - whole : 0, (double)v);
        drop_zero(s);
        bool fraction = s[s[0] == '-'] == '.';
        if (sig < 2 && digits > 1 && fraction) break;       /* one digit of a fraction: the exponent says more */
        if ((int)strlen(s) <= w) return strcpy(buf, s);
    }
    for (int after = digits - 1; after >= 0; after--) {
        snprintf(s, sizeof s, "%.*e", after, (double)v);
        short_exponent(s);
        if ((int)strlen(s) <= w) return strcpy(buf, s);
    }
    if (whole > 0) return snprintf(buf, 16, "%.15s", s), buf;
    int room = w - 1 - (v < 0);                             /* "-.09": nothing shorter tells more */
    snprintf(s, sizeof s, "%.*f", room > 0 ? room : 0, (double)v);
    drop_zero(s);
    return snprintf(buf, 16, "%.15s", s), buf;
}

const char *tui_num(float v, int w, char *buf) { return tui_num_digits(v, w, 3, buf); }

const char *tui_time(double s, char *buf) {
    if (s <= 0) return strcpy(buf, "");
    double v = s < 1e-3 ? s * 1e6 : s < 1 ? s * 1e3 : s;
    snprintf(buf, 16, "%.*f%s", v < 100, v, s < 1e-3 ? "us" : s < 1 ? "ms" : "s");
    return buf;
}

const char *tui_time_short(double s, char *buf) {
    if (s < 9.9995e-3) return tui_num_digits((float)(s * 1e6), 4, 2, buf);
    if (s < 99.5e-3) return snprintf(buf, 16, "%.0fms", s * 1e3), buf;
    tui_num_digits((float)s, 3, 2, buf);
    return strcat(buf, "s");
}

static const char *scaled(double v, double step, const char *units, const char *tail, char *buf) {
    int u = 0;
    while (v >= step && units[u + 1]) v /= step, u++;
    snprintf(buf, 16, u ? "%.1f%s%c%s" : "%.0f%s", v, tail[0] == ' ' ? " " : "", units[u], tail + (tail[0] == ' '));
    return buf;
}

const char *tui_count(uint64_t n, char *buf) {
    if (n < 100000) return snprintf(buf, 16, "%u", (unsigned)n), buf;
    return scaled((double)n, 1000, " kMGTP", "", buf);
}

const char *tui_bytes(uint64_t n, char *buf) {
    if (n < 1024) return snprintf(buf, 16, "%u B", (unsigned)n), buf;
    return scaled((double)n, 1024, " KMGTP", " iB", buf);
}
