/* lab.c - finding and reading labs.
 *
 * One Lua host reads all of them and stays: the tables that lab.lua files return are anchored in its registry, and the
 * texts that struct cut_lab points to are the strings in those tables. */
#include "lua/lab.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/bind.h"

struct entry { struct cut_lab lab; char *folder, *id, *definition, *start, *problem; struct cut_lab_step *steps; };

struct cut_labs { struct cut_lua *host; struct entry *entries; int n, cap; };

/* ---- files */

static char *read_text(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t n = 0, cap = 0;
    if (!f) return NULL;
    do {
        cap = cap ? cap * 2 : 16384;
        char *more = cap <= (4u << 20) ? realloc(text, cap) : NULL;
        if (!more) {
            free(text);
            fclose(f);
            return NULL;
        }
        text = more;
        n += fread(text + n, 1, cap - n, f);
    } while (n == cap);
    bool failed = ferror(f);
    fclose(f);
    if (failed) {
        free(text);
        return NULL;
    }
    text[n] = 0;
    *len = n;
    return text;
}

char *cut_lab_text(const struct cut_lab *lab, const char *name, size_t *len) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", lab->folder, name) >= (int)sizeof path) return NULL;
    return read_text(path, len);
}

static bool is_folder(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* build/cutaway and build/asan/cutaway stand beside and below the source; an installed one has PREFIX/share. */
static bool find_root(char *out, size_t size) {
    static const char *const places[] = { "/../share/cutaway/labs", "/../labs", "/../../labs" };
    char exe[PATH_MAX / 2];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = 0;
        char *slash = strrchr(exe, '/');
        if (slash) *slash = 0;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            snprintf(out, size, "%s%s", exe, places[i]);
            if (is_folder(out)) return true;
        }
    }
    snprintf(out, size, "labs");
    return is_folder(out);
}

/* ---- reading one */

static const char *text_of(lua_State *L, int table, const char *key) {
    lua_getfield(L, table, key);
    const char *s = lua_tostring(L, -1);          /* the table keeps it alive */
    lua_pop(L, 1);
    return s;
}

static double number_of(lua_State *L, int table, const char *key, double def) {
    double v = lua_getfield(L, table, key) == LUA_TNUMBER ? lua_tonumber(L, -1) : def;
    lua_pop(L, 1);
    return v;
}

static void read_steps(lua_State *L, int table, struct entry *e) {
    lua_getfield(L, table, "steps");
    int n = (int)lua_rawlen(L, -1);
    e->steps = calloc((size_t)n, sizeof *e->steps);
    if (!e->steps) luaL_error(L, "out of memory: the steps of a lab");
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, -1, i + 1);
        int step = lua_gettop(L);
        e->steps[i] = (struct cut_lab_step){ text_of(L, step, "title"), text_of(L, step, "kind"), text_of(L, step, "text"),
                                             text_of(L, step, "view"), text_of(L, step, "task") };
        lua_pop(L, 1);
    }
    e->lab.n_steps = n;
    e->lab.steps = e->steps;
    lua_pop(L, 1);
}

/* Stack: the entry. Runs lab.lua, has the prelude look its table over, and anchors the table. */
static int read_lab(lua_State *L) {
    struct entry *e = lua_touserdata(L, 1);
    struct cut_lab *lab = &e->lab;
    cut_lua_push_globals(L);
    if (!cut_lua_load(L, "lab.lua", e->definition, strlen(e->definition))) return lua_error(L);
    lua_call(L, 0, 1);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &cut_lua_lab_key);
    lua_getfield(L, -1, "examine");
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    lua_settop(L, 2);
    lab->id = text_of(L, 2, "id");
    lab->title = text_of(L, 2, "title");
    lab->view = text_of(L, 2, "view");
    lab->module = (int)number_of(L, 2, "module", 0);
    lab->minutes = (int)number_of(L, 2, "minutes", 0);
    lab->max_seconds = number_of(L, 2, "max_seconds", 20);
    lab->max_memory = (size_t)(number_of(L, 2, "max_memory_mb", 64) * 1048576);
    lua_getfield(L, 2, "hints");
    for (int i = 0; i < 3; i++) {
        lua_rawgeti(L, 3, i + 1);
        lab->hints[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    read_steps(L, 2, e);
    lua_settop(L, 2);
    luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void load_entry(struct cut_labs *labs, struct entry *e) {
    size_t len;
    char path[PATH_MAX];
    lua_State *L = cut_lua_state(labs->host);
    snprintf(path, sizeof path, "%s/lab.lua", e->folder);
    e->definition = read_text(path, &len);
    snprintf(path, sizeof path, "%s/start.lua", e->folder);
    e->start = read_text(path, &len);
    e->lab.folder = e->folder;
    if (!e->definition || !e->start) {
        e->problem = strdup(e->definition ? "start.lua cannot be read" : "lab.lua cannot be read");
    } else {
        lua_pushcfunction(L, read_lab);
        lua_pushlightuserdata(L, e);
        if (cut_lua_call(labs->host, L, 1, 0, NULL)) e->problem = strdup(cut_lua_error(labs->host));
    }
    e->lab.problem = e->problem;
    e->lab.definition = e->definition;
    e->lab.start = e->start;
    if (e->problem) e->lab.id = e->lab.title = e->id;
}

/* ---- all of them */

/* "1.10" after "1.9": numbers by their value. */
static int by_id(const void *a, const void *b) {
    const char *x = ((const struct entry *)a)->lab.id, *y = ((const struct entry *)b)->lab.id;
    for (;;) {
        char *xe, *ye;
        long i = strtol(x, &xe, 10), j = strtol(y, &ye, 10);
        if (i != j) return i < j ? -1 : 1;
        if (*xe != *ye || !*xe) return (unsigned char)*xe - (unsigned char)*ye;
        x = xe + 1;
        y = ye + 1;
    }
}

static bool add_entry(struct cut_labs *labs, const char *folder, const char *name) {
    if (labs->n == labs->cap) {
        int cap = labs->cap ? labs->cap * 2 : 64;
        struct entry *more = realloc(labs->entries, (size_t)cap * sizeof *more);
        if (!more) return false;
        labs->entries = more;
        labs->cap = cap;
    }
    struct entry *e = &labs->entries[labs->n];
    *e = (struct entry){ .folder = strdup(folder), .id = strndup(name, strcspn(name, "-")) };
    labs->n++;
    return e->folder && e->id;
}

/* Folders whose name starts with a digit, below folders whose name starts with m. */
static bool scan(struct cut_labs *labs, const char *folder, int level) {
    DIR *d = opendir(folder);
    bool ok = true;
    if (!d) return true;
    for (struct dirent *f; ok && (f = readdir(d));) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", folder, f->d_name) >= (int)sizeof path || !is_folder(path)) continue;
        if (level == 0 && f->d_name[0] == 'm') ok = scan(labs, path, 1);
        else if (level == 1 && f->d_name[0] >= '0' && f->d_name[0] <= '9') ok = add_entry(labs, path, f->d_name);
    }
    closedir(d);
    return ok;
}

enum cut_status cut_labs_open(struct cut_labs **out, const char *root, struct cut_err *err) {
    char found[PATH_MAX];
    if (root && !is_folder(root)) return cut_fail(err, CUT_EFILE, "%s: no such folder", root);
    if (!root && !find_root(found, sizeof found)) return cut_fail(err, CUT_EFILE, "the labs are not installed: no folder labs");
    struct cut_labs *labs = calloc(1, sizeof *labs);
    if (!labs) return cut_fail(err, CUT_ENOMEM, "out of memory: the labs");
    enum cut_status status = cut_lua_new(&labs->host, NULL, err);
    if (!status && !scan(labs, root ? root : found, 0)) status = cut_fail(err, CUT_ENOMEM, "out of memory: the labs");
    if (status) {
        cut_labs_close(labs);
        return status;
    }
    for (int i = 0; i < labs->n; i++) load_entry(labs, &labs->entries[i]);
    if (labs->n) qsort(labs->entries, (size_t)labs->n, sizeof *labs->entries, by_id);
    *out = labs;
    return CUT_OK;
}

void cut_labs_close(struct cut_labs *labs) {
    if (!labs) return;
    for (int i = 0; i < labs->n; i++) {
        struct entry *e = &labs->entries[i];
        free(e->folder);
        free(e->id);
        free(e->definition);
        free(e->start);
        free(e->problem);
        free(e->steps);
    }
    free(labs->entries);
    cut_lua_free(labs->host);
    free(labs);
}

int cut_labs_count(const struct cut_labs *labs) { return labs->n; }

const struct cut_lab *cut_labs_get(const struct cut_labs *labs, int i) {
    return i >= 0 && i < labs->n ? &labs->entries[i].lab : NULL;
}

const struct cut_lab *cut_labs_find(const struct cut_labs *labs, const char *id) {
    for (int i = 0; i < labs->n; i++)
        if (!strcmp(labs->entries[i].lab.id, id)) return &labs->entries[i].lab;
    return NULL;
}
