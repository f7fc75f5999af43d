/* source.c - the engine's own text, carried in the program, so that the source pane works wherever it is installed. Only the files that
 * steps point to: what is computed (ref.c), why (llama.c), how a pass goes through it (pass.c), and what the bits of weights stand for
 * (decode.c, unpack.c).
 *
 * The assembler reads the files while this one is compiled; paths start at the root of the repository. */
#include "engine/base/base.h"

#define CARRY(symbol, path)                                                                                   \
    __asm__(".pushsection .rodata\n.local cut_text_" #symbol "\ncut_text_" #symbol ":\n.incbin \"" path "\"\n" \
            ".local cut_text_" #symbol "_end\ncut_text_" #symbol "_end:\n.byte 0\n.popsection\n");             \
    extern const char cut_text_##symbol[], cut_text_##symbol##_end[]

CARRY(ref, "engine/kernels/ref.c");
CARRY(llama, "engine/model/llama.c");
CARRY(pass, "engine/run/pass.c");
CARRY(decode, "engine/quant/decode.c");
CARRY(unpack, "engine/quant/unpack.c");

const char *cut_source_text(const char *file, size_t *len) {
    static const struct { const char *path, *text, *end; } carried[] = {
        { "engine/kernels/ref.c", cut_text_ref, cut_text_ref_end },
        { "engine/model/llama.c", cut_text_llama, cut_text_llama_end },
        { "engine/run/pass.c", cut_text_pass, cut_text_pass_end },
        { "engine/quant/decode.c", cut_text_decode, cut_text_decode_end },
        { "engine/quant/unpack.c", cut_text_unpack, cut_text_unpack_end },
    };
    for (size_t i = 0; i < CUT_LEN(carried); i++)
        if (!strcmp(carried[i].path, file)) {
            *len = (size_t)(carried[i].end - carried[i].text);
            return carried[i].text;
        }
    return NULL;
}
