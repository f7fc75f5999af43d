#include <sys/stat.h>

#include "tests/lua/models.h"
#include "tests/test.h"

static bool make(const char *folder, const char *name, const char *layers) {
    const char *const args[] = { "dim=256", "ffn=512", "heads=8", "kv_heads=4", "vocab=1024", "ctx=1024", "type=f16", "seed=7",
                                 layers };
    char path[600];
    struct cut_err err;
    snprintf(path, sizeof path, "%s/%s.gguf", folder, name);
    if (!cut_synth(path, "llama", args, sizeof args / sizeof *args, &err)) return true;
    test_fail(__FILE__, __LINE__, "%s", err.msg);
    return false;
}

const char *test_models(void) {
    static char folder[512];
    if (folder[0]) return folder;
    snprintf(folder, sizeof folder, "%s", test_tmp("models"));
    mkdir(folder, 0777);
    if (make(folder, "pebble", "layers=4") && make(folder, "pebble-draft", "layers=1")) return folder;
    folder[0] = 0;
    return NULL;
}
