/* json.h - read JSON text (RFC 8259) as a tree: what the workbench saved, and what somebody changed in it since. */
#ifndef TUI_JSON_H
#define TUI_JSON_H

#include "engine/cutaway.h"

enum tui_json_kind { TUI_JSON_NULL, TUI_JSON_BOOL, TUI_JSON_NUMBER, TUI_JSON_STRING, TUI_JSON_ARRAY, TUI_JSON_OBJECT };
struct tui_json {
    enum tui_json_kind kind;
    const char *key;           /* of a member of an object; else NULL */
    const char *text;          /* of a string, UTF-8 */
    double number;             /* also 0 or 1 of a bool */
    const struct tui_json *first, *next;       /* what is in it; what follows it */
};

/* name stands in messages: `name: line 3: a string is not closed`. Nested at most 32 deep. */
enum cut_status tui_json_parse(struct tui_json **out, const char *name, const char *text, size_t len, struct cut_err *err);
void tui_json_free(struct tui_json *root);     /* of what tui_json_parse gave; NULL is fine */
/* A member by its name; NULL: there is none, or j is no object. */
const struct tui_json *tui_json_get(const struct tui_json *j, const char *key);

#endif
