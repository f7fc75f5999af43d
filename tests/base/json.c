/* json.c - the JSON writer, against texts written by hand. */
#include "tests/test.h"

static char *text;
static size_t size;

static void begin(struct cut_json *j) { cut_json_init(j, open_memstream(&text, &size)); }

static void check(struct cut_json *j, const char *want) {
    fclose(j->f);
    CHECK(!strcmp(text, want), "\n%s", text);
    free(text);
}

TEST(json_objects_and_arrays) {
    struct cut_json j;
    begin(&j);
    cut_json_open(&j, NULL, '{');
    cut_json_str(&j, "s", "x", 1);
    cut_json_open(&j, "list", '[');
    cut_json_int(&j, NULL, -5);
    cut_json_uint(&j, NULL, UINT64_MAX);
    cut_json_open(&j, NULL, '{');
    cut_json_bool(&j, "yes", true);
    cut_json_bool(&j, "no", false);
    cut_json_close(&j, '}');
    cut_json_close(&j, ']');
    cut_json_open(&j, "none", '[');
    cut_json_close(&j, ']');
    cut_json_open(&j, "line", '[');
    j.inline_ = true;
    cut_json_int(&j, NULL, 1);
    cut_json_int(&j, NULL, 2);
    cut_json_open(&j, NULL, '{');
    cut_json_int(&j, "a", 3);
    cut_json_int(&j, "b", 4);
    cut_json_close(&j, '}');
    cut_json_close(&j, ']');
    j.inline_ = false;
    cut_json_int(&j, "last", INT64_MIN);
    cut_json_close(&j, '}');
    check(&j, "{\n  \"s\": \"x\",\n  \"list\": [\n    -5,\n    18446744073709551615,\n    {\n      \"yes\": true,\n"
              "      \"no\": false\n    }\n  ],\n  \"none\": [],\n  \"line\": [1, 2, {\"a\": 3, \"b\": 4}],\n"
              "  \"last\": -9223372036854775808\n}\n");
}

TEST(json_strings) {
    struct cut_json j;
    begin(&j);
    cut_json_open(&j, NULL, '{');
    cut_json_str(&j, "a \"key\"", "q\" b\\ n\n t\t r\r nul\0 esc\x1B del\x7F", 29);
    cut_json_str(&j, "utf8", "\xE2\x96\x81\xF0\x9F\x98\x80 \xFF\xE2\x96", 11);
    cut_json_str(&j, "c1", "\xC2\x9B", 2);
    cut_json_close(&j, '}');
    check(&j, "{\n  \"a \\\"key\\\"\": \"q\\\" b\\\\ n\\n t\\t r\\r nul\\u0000 esc\\u001b del\\u007f\",\n"
              "  \"utf8\": \"\xE2\x96\x81\xF0\x9F\x98\x80 \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\",\n  \"c1\": \"\\u009b\"\n}\n");
}

TEST(json_numbers) {
    struct cut_json j;
    static const double v[] = { 0, 1, -1.5, 0.1, 1e300, 1.0 / 3, 123456789, 5e-324, INFINITY, -INFINITY, NAN };
    begin(&j);
    cut_json_open(&j, NULL, '[');
    j.inline_ = true;
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) cut_json_num(&j, NULL, v[i]);
    cut_json_close(&j, ']');
    check(&j, "[0, 1, -1.5, 0.1, 1e+300, 0.3333333333333333, 123456789, 4.94066e-324, null, null, null]\n");
}
