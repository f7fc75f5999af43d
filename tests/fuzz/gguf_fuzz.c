/* gguf_fuzz.c - a libFuzzer target: parse the bytes as a GGUF file and touch everything it offers. */
#include "tests/gguf/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const unsigned flags[] = { 0, CUT_GGUF_HEADER_ONLY };
    for (int i = 0; i < 2; i++) {
        struct cut_gguf *g = NULL;
        struct cut_err err = { 0 };
        enum cut_status st = cut_gguf_parse(&g, "fuzz.gguf", data, size, flags[i], &err);
        if (!st != !!g || (st && (!err.msg[0] || err.code != st))) abort();
        if (g) walk(g);
        cut_gguf_close(g);
    }
    return 0;
}
