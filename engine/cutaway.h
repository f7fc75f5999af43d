/* cutaway.h - the public interface of libcutaway. Its comments are the manual.
 *
 * Cutaway treats inference as a debugger treats a program:
 *
 *   architecture --builds--> graph --compiled to--> program --run by--> session
 *
 * A model (cut_model) is a mapped GGUF file. A session (cut_session) runs its program: a flat list of named steps
 * ("blk.3.scores"), with activations as registers and the key/value cache as memory. It can run freely, stop at any
 * step, go back, be watched and be edited.
 *
 * Conventions
 *   Status     Functions that can fail return enum cut_status, 0 for success. Out-parameters come first and are
 *              untouched on failure; the last parameter is a struct cut_err * that may be NULL.
 *   Ownership  open/new .. close/free: the caller owns; the freeing call accepts NULL. get, or a returned const
 *              pointer: borrowed; the comment says until when.
 *   Shapes     ne[0] is the fastest dimension, as in GGUF: a matrix of shape { columns, rows }.
 *   Threads    An object is used by one thread at a time, except where a comment says otherwise.
 *   Silence    The library never prints, exits, aborts on input, or touches signals.
 */
#ifndef CUTAWAY_H
#define CUTAWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUT_VERSION "0.1.0"

/* ---------------------------------------------------------------------------------------------------------------
 * Status and errors
 */

/* The first four are also the exit statuses of the command line. */
enum cut_status {
    CUT_OK = 0,
    CUT_EUSAGE,       /* an argument is out of range or makes no sense */
    CUT_EFILE,        /* a file is missing, unreadable, damaged, or of a kind we do not run */
    CUT_ENOMEM,       /* memory ran out, or a limit on it was reached */
    CUT_EFULL,        /* the context (KV cache) is full */
    CUT_ECANCEL,      /* cancelled by cut_session_cancel, a probe, or a progress callback */
    CUT_ESYSTEM,      /* the operating system refused: a thread, a file to write */
};

/* What went wrong: which file, which item, which value. One line, no newline at the end. */
struct cut_err {
    enum cut_status code;
    char msg[240];
};

/* Fill err (may be NULL) and return code, so that a function can end with `return cut_fail(err, CUT_EFILE, ...)`. */
enum cut_status cut_fail(struct cut_err *err, enum cut_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* How a long job tells its caller how far it is: the part done, 0 to 1, and what it is at. Returning false stops the job,
 * which then returns CUT_ECANCEL. Called on the thread that runs the job; wherever it is a parameter, it may be NULL. */
/* What long jobs call (it may be NULL): the part done, 0 to 1, and what is under way. Returning false stops the job with CUT_ECANCEL. */
typedef bool (*cut_progress_fn)(void *user, double part, const char *what);

/* ---------------------------------------------------------------------------------------------------------------
 * Number formats
 *
 * The ids are GGUF's (ggml_type). A format stores `block` elements in `bytes` bytes.
 */
enum cut_type {
    CUT_F32 = 0, CUT_F16 = 1, CUT_Q4_0 = 2, CUT_Q4_1 = 3, CUT_Q5_0 = 6, CUT_Q5_1 = 7, CUT_Q8_0 = 8, CUT_Q8_1 = 9,
    CUT_Q2_K = 10, CUT_Q3_K = 11, CUT_Q4_K = 12, CUT_Q5_K = 13, CUT_Q6_K = 14, CUT_Q8_K = 15,
    CUT_IQ2_XXS = 16, CUT_IQ2_XS = 17, CUT_IQ3_XXS = 18, CUT_IQ1_S = 19, CUT_IQ4_NL = 20, CUT_IQ3_S = 21,
    CUT_IQ2_S = 22, CUT_IQ4_XS = 23, CUT_I8 = 24, CUT_I16 = 25, CUT_I32 = 26, CUT_I64 = 27, CUT_F64 = 28,
    CUT_IQ1_M = 29, CUT_BF16 = 30, CUT_TQ1_0 = 34, CUT_TQ2_0 = 35, CUT_MXFP4 = 39, CUT_NVFP4 = 40, CUT_Q1_0 = 41,
    CUT_Q2_0 = 42,
    CUT_TYPE_COUNT = 43,
};

struct cut_type_info {
    const char *name;      /* as llama.cpp writes it: "q4_0", "q6_K"; NULL where the id is unused */
    int block;             /* elements in a block */
    int bytes;             /* bytes in a block */
    bool runs;             /* this engine can decode it and multiply by it */
};

/* The table's row for a type id, or NULL when the id names no format. Static. */
const struct cut_type_info *cut_type_info(uint32_t type);

/* Look a name up ("q8_0", in any case). Returns -1 when unknown. */
int cut_type_by_name(const char *name);

/* Decode n elements (a multiple of the block size) from src to floats. The format must have `runs` set. */
void cut_decode(enum cut_type type, const void *src, float *dst, size_t n);
/* Can the format be written? */
bool cut_encodes(enum cut_type type);
/* Encode rows of n finite floats each (n a multiple of the block size), one after the other, so that as little as possible of
 * sum w (x - decoded x)^2 is left. importance: the n weights w >= 0, one for each column and the same for every row (the mean square of what
 * the column is multiplied by, as an importance matrix has it), or NULL for 1 everywhere; only their proportions matter, and where all of a
 * block are 0 it is as if there were none. Always finite: weights too large for the format become the largest that it has
 * (65504 times the largest integer for most), too small ones 0. The same bytes on every processor. */
void cut_encode_rows(enum cut_type type, const float *src, void *dst, size_t rows, size_t n, const float *importance);
/* The same for n floats, without importance. */
void cut_encode(enum cut_type type, const float *src, void *dst, size_t n);
/* Are all n neither infinite nor NaN? If not, *at (may be NULL) is the index of the first that is. */
bool cut_all_finite(const float *x, size_t n, size_t *at);

/* ---- inside a block: what its bytes are, and which bits make one weight. Formats that pack several weights with a shared scale have a
 * layout; plain numbers (f32, f16, ..) have none, and neither have q8_1 and q8_K, which never hold weights. */

struct cut_block_field {
    const char *name;          /* as ggml calls it: "d", "qs", "scales" */
    int at, bytes;             /* its place in the block */
    int bits;                  /* of one item in it: 4 where it holds nibbles, 16 for a half-precision float */
    const char *what;          /* "the scale of the block, float16" */
};

struct cut_block_layout {
    const char *formula;       /* "w = d * (q - 8)", of one weight; the fields by their names, i numbers the weights of the block */
    int n_scale;               /* consecutive weights that share a scale: 16, 32, .. up to the whole block */
    int n_group;               /* consecutive weights whose bits are one index into a codebook: 8 or 4; else 1 */
    int n_fields;
    const struct cut_block_field *field;       /* in the order of the bytes, which they fill without a gap */
};

/* NULL: the format has no such layout. Static. */
const struct cut_block_layout *cut_block_layout(enum cut_type type);

/* What a run of bits does for a weight. */
enum cut_bits_role {
    CUT_BITS_Q,                /* its own integer; in tq1_0, a byte that holds the trits of five weights, 32 (16, 4) apart */
    CUT_BITS_INDEX,            /* which entry of the codebook; shared by the n_group weights of the entry */
    CUT_BITS_SIGN,             /* minus. Where seven signs are stored for eight weights, the eighth has all seven: set if an odd number is */
    CUT_BITS_SHIFT,            /* iq1: all entries an eighth down instead of up */
    CUT_BITS_SCALE,            /* of the scale: first a small integer, if there is one, then a float for the block (iq1_m: in four pieces) */
    CUT_BITS_OFFSET,           /* of the offset, likewise */
};
/* n bits of the block, from bit `bit` of byte `byte` up, running on into the bytes that follow: 16 bits are a little-endian number. */
struct cut_bits { enum cut_bits_role role; int field, byte, bit, n; };

struct cut_block_element {
    int q;                     /* what the scale multiplies: its zero point taken off, its table looked up. 4-bit floats are doubled,
                                * iq1 is in eighths */
    float scale, offset;       /* value = scale * q + offset, rounded after each step; what cut_decode gives */
    float value;
    uint32_t code;             /* the bits of roles Q and INDEX, the first run lowest; code_bits of them */
    int code_bits;
    int n_bits;
    struct cut_bits bits[8];   /* in the order of the roles; within a role from the lowest bits up */
};

/* Weight i (0 up to the format's `block` - 1) of a block. False: no layout, or i out of range; *out is then untouched. */
bool cut_block_element(enum cut_type type, const void *block, int i, struct cut_block_element *out);
/* Overwrite the code of weight i; bits of `code` above code_bits are ignored. Weights that share those bits change with it (n_group,
 * tq1_0). False as above. */
bool cut_block_set_code(enum cut_type type, void *block, int i, uint32_t code);
/* 8 * bytes / block; 0 for an id without a format. */
double cut_bits_per_weight(enum cut_type type);

/* Half precision, IEEE 754 binary16, round to nearest even; and bfloat16 likewise. */
float cut_f16_to_f32(uint16_t h);
uint16_t cut_f32_to_f16(float f);
float cut_bf16_to_f32(uint16_t h);
uint16_t cut_f32_to_bf16(float f);

/* ---- methods of quantization, for study
 *
 * How to choose the integers is a question apart from how to store them. These methods answer it for one matrix W
 * [rows][cols], rows contiguous, and what that layer is given to multiply: activations X [tokens][cols]. All of them
 * round to b bits on an even grid, whose step is a half-precision number shared by a tensor, a row, or `group` columns of a row:
 *
 *   symmetric    w' = d q,        q in [-(2^(b-1) - 1), 2^(b-1) - 1],   d = max|w| / (2^(b-1) - 1)
 *   asymmetric   w' = d (q - z),  q in [0, 2^b - 1],                    d = (max w - min w) / (2^b - 1), z = -min w / d, rounded
 *
 * The result is W', the reconstructed matrix, in floats; nothing here writes a file. */
enum cut_method {
    CUT_METHOD_ROUND,      /* each weight to its nearest point of the grid; looks at no activation */
    CUT_METHOD_GPTQ,       /* column after column, the error of each made good by those still to come (Frantar et al. 2023,
                              section 3) */
    CUT_METHOD_AWQ,        /* columns that meet large activations are widened before rounding, by s = mean|x|^alpha, and
                              narrowed after it (Lin et al. 2024, section 3.2) */
    CUT_METHOD_SPLIT,      /* columns that meet outlying activations stay in half precision (Dettmers et al. 2022, section 3.2) */
    CUT_METHOD_COUNT,
};
enum { CUT_GROUP_ROW = 0, CUT_GROUP_TENSOR = -1 };
struct cut_method_opts {
    enum cut_method method;
    int bits;              /* 2 to 8 */
    int group;             /* columns that share a step, from 1; CUT_GROUP_ROW or CUT_GROUP_TENSOR */
    bool asymmetric;
    int act_bits;          /* round activations too, symmetrically, a step per token: 2 to 8; 0: they stay floats. Not for AWQ */
    float damping;         /* GPTQ: this share of the mean of H's diagonal is added to the diagonal */
    int alphas;            /* AWQ: alpha is tried at this many places from 0 (plain rounding) up to, without, 1 */
    float outlier;         /* SPLIT: a column counts as outlying when its largest |x| is this many times the rms of X */
};
extern const struct cut_method_opts cut_method_defaults;   /* ROUND, 4 bits, a row, symmetric, 0, 0.01, 20, 6 */
const char *cut_method_name(enum cut_method m);            /* "round", "gptq", "awq", "split" */
int cut_method_by_name(const char *name);                  /* -1: unknown */

struct cut_method_result {
    double weight_error;   /* |W - W'| / |W|, Frobenius norms */
    double output_error;   /* |Y - Y'| / |Y| for Y = X W^T, on the activations the method was given */
    double bits_per_weight;    /* with steps, zero points, AWQ's scales and SPLIT's columns at 16 bits */
    float alpha;           /* AWQ: the best */
    int outliers;          /* SPLIT: columns kept */
};
/* out gets W' [rows][cols]; column (may be NULL) gets one number for each column: AWQ its scale s, SPLIT 1 where the column
 * is kept and 0 where not, the others 0. ROUND works without activations (x NULL, tokens 0; output_error is then 0).
 * CUT_EUSAGE: an option out of range, or a weight or activation that is not finite. */
enum cut_status cut_method_run(const float *w, int rows, int cols, const float *x, int tokens,
                               const struct cut_method_opts *o, float *out, float *column, struct cut_method_result *result,
                               cut_progress_fn progress, void *user, struct cut_err *err);
/* |Y - Y'| / |Y| on other activations than the method was given, which is the fair test of it. act_bits as above; keep (may be NULL)
 * marks the columns whose activations are not rounded: SPLIT's `column`. */
enum cut_status cut_method_output_error(const float *w, const float *w2, int rows, int cols, const float *x, int tokens,
                                        int act_bits, const float *keep, double *error, struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * GGUF files
 */

/* The 13 metadata value types, with GGUF's ids. */
enum cut_kv_type {
    CUT_KV_U8, CUT_KV_I8, CUT_KV_U16, CUT_KV_I16, CUT_KV_U32, CUT_KV_I32, CUT_KV_F32, CUT_KV_BOOL, CUT_KV_STRING,
    CUT_KV_ARRAY, CUT_KV_U64, CUT_KV_I64, CUT_KV_F64,
    CUT_KV_COUNT,
};

/* One metadata entry. For a scalar, elem == type and count == 1. For an array, elem is the type of its elements
 * and count their number; elements that are arrays themselves can only be summarised. Borrowed from the cut_gguf. */
struct cut_kv {
    const char *key;
    enum cut_kv_type type, elem;
    uint64_t count;
    const uint8_t *data;       /* the elements as they stand in the file, unaligned (version 1: as version 3 has them) */
    uint64_t bytes;            /* of the elements in data */
    const uint64_t *index;     /* strings and nested arrays: offset in data of each element; else NULL */
};

/* One tensor of the file. Borrowed from the cut_gguf. */
struct cut_tensor_info {
    const char *name;
    enum cut_type type;
    int n_dims;                /* 1 to 4 */
    uint64_t ne[4];            /* unused dimensions are 1 */
    uint64_t offset;           /* of the first byte, from the start of the file */
    uint64_t bytes;
    const void *data;          /* NULL when the file was opened with CUT_GGUF_HEADER_ONLY */
};

struct cut_gguf;

enum {
    CUT_GGUF_NO_MMAP = 1,      /* read the file into memory instead of mapping it */
    CUT_GGUF_HEADER_ONLY = 2,  /* metadata and tensor table only; tensor data may be missing from the file */
};

/* Open and check a GGUF file, version 1 to 3. Every size and offset is checked before it is used; the error names
 * the file, the item and the value. */
enum cut_status cut_gguf_open(struct cut_gguf **out, const char *path, unsigned flags, struct cut_err *err);

/* The same from memory, for tests and fuzzing: `data` is borrowed and must outlive the cut_gguf; `name` is for messages. */
enum cut_status cut_gguf_parse(struct cut_gguf **out, const char *name, const void *data, size_t size, unsigned flags,
                               struct cut_err *err);
void cut_gguf_close(struct cut_gguf *g);

struct cut_gguf_head {
    uint32_t version;
    uint64_t n_kv, n_tensors, alignment;
    uint64_t data_offset;      /* where tensor data starts */
    uint64_t file_bytes;
    const char *name;          /* file name without its folders */
    bool mapped;
};
const struct cut_gguf_head *cut_gguf_head(const struct cut_gguf *g);
const struct cut_kv *cut_gguf_kv(const struct cut_gguf *g, uint64_t i);
const struct cut_kv *cut_gguf_find(const struct cut_gguf *g, const char *key);                  /* NULL: absent */
const struct cut_tensor_info *cut_gguf_tensor(const struct cut_gguf *g, uint64_t i);
const struct cut_tensor_info *cut_gguf_find_tensor(const struct cut_gguf *g, const char *name); /* NULL: absent */

/* Element i of an entry (i = 0 for a scalar), converted; false when its type does not fit or i is out of range.
 * u64 takes any non-negative integer, i64 any integer that fits, f64 any number. Strings are borrowed, not terminated. */
bool cut_kv_u64(const struct cut_kv *kv, uint64_t i, uint64_t *out);
bool cut_kv_i64(const struct cut_kv *kv, uint64_t i, int64_t *out);
bool cut_kv_f64(const struct cut_kv *kv, uint64_t i, double *out);
bool cut_kv_bool(const struct cut_kv *kv, uint64_t i, bool *out);
bool cut_kv_str(const struct cut_kv *kv, uint64_t i, const char **out, size_t *len);
const char *cut_kv_type_name(enum cut_kv_type type);      /* "u32", "string", ... */

/* Writing. Add metadata and tensors in file order, then write: to PATH.tmp.PID first, renamed when whole, so that
 * what stood at path stays until then. Tensor data is not copied: it must live until the write, or be produced by
 * a callback that fills dst with the tensor's rows [row0, row0 + rows). */
struct cut_gguf_writer;
typedef enum cut_status (*cut_gguf_fill)(void *user, const struct cut_tensor_info *t, uint64_t row0, uint64_t rows,
                                         void *dst, struct cut_err *err);
enum cut_status cut_gguf_writer_new(struct cut_gguf_writer **out, struct cut_err *err);
void cut_gguf_writer_free(struct cut_gguf_writer *w);
enum cut_status cut_gguf_put_u32(struct cut_gguf_writer *w, const char *key, uint32_t v, struct cut_err *err);
enum cut_status cut_gguf_put_f32(struct cut_gguf_writer *w, const char *key, float v, struct cut_err *err);
enum cut_status cut_gguf_put_bool(struct cut_gguf_writer *w, const char *key, bool v, struct cut_err *err);
enum cut_status cut_gguf_put_str(struct cut_gguf_writer *w, const char *key, const char *v, struct cut_err *err);
/* Any entry, from the bytes GGUF stores for it (arrays: the elements without their header). Copied. */
enum cut_status cut_gguf_put_raw(struct cut_gguf_writer *w, const char *key, enum cut_kv_type type,
                                 enum cut_kv_type elem, uint64_t count, const void *data, size_t bytes,
                                 struct cut_err *err);
enum cut_status cut_gguf_put_strs(struct cut_gguf_writer *w, const char *key, const char *const *v, uint64_t n,
                                  struct cut_err *err);
enum cut_status cut_gguf_put_tensor(struct cut_gguf_writer *w, const char *name, enum cut_type type, int n_dims,
                                    const uint64_t *ne, const void *data, struct cut_err *err); /* data NULL: by fill */
enum cut_status cut_gguf_write(struct cut_gguf_writer *w, const char *path, cut_gguf_fill fill, void *user,
                               struct cut_err *err);

/* Editing metadata. The tensors' bytes are copied as they are; the new file appears at `out` (which may be `in`) when whole. */
enum cut_edit_kv_op { CUT_KV_SET, CUT_KV_REMOVE, CUT_KV_RENAME, CUT_KV_RENAME_TENSOR };
struct cut_edit_kv {
    enum cut_edit_kv_op op;
    const char *key;           /* of the entry, or the tensor's name */
    const char *value;         /* the new value as text, or the new name; NULL for CUT_KV_REMOVE */
    int type;                  /* enum cut_kv_type of a value; -1: the entry's own, or what the text looks like */
    bool force;                /* also what makes a model useless: see below */
};
/* CUT_EUSAGE: no such key, a name that is taken, text that is no value of the type, an array (they cannot be set); and, without
 * force, an edit after which the file could not be run: general.architecture changed, or one of the architecture's or
 * the tokenizer's entries, or a tensor, gone under its name. before and after (may be NULL): the entry as one line of text
 * ("u32 2048"; "" where there is none), at most cap bytes, also when writing fails. */
enum cut_status cut_gguf_edit(const char *in, const char *out, const struct cut_edit_kv *e, char *before, char *after, size_t cap,
                              struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * Vocabulary: text to token ids and back
 */
struct cut_vocab;

/* The kind of a token, with the values of tokenizer.ggml.token_type. */
enum cut_token_kind { CUT_TOKEN_NORMAL = 1, CUT_TOKEN_UNKNOWN, CUT_TOKEN_CONTROL, CUT_TOKEN_USER, CUT_TOKEN_UNUSED,
                      CUT_TOKEN_BYTE };

/* Read the vocabulary of a GGUF file. So far: tokenizer.ggml.model = "llama" (SentencePiece, byte-pair merges by
 * score with byte fallback: Kudo and Richardson 2018; Sennrich et al. 2016). Another kind: CUT_EFILE, by name. */
enum cut_status cut_vocab_new(struct cut_vocab **out, const struct cut_gguf *g, struct cut_err *err);
void cut_vocab_free(struct cut_vocab *v);
int cut_vocab_size(const struct cut_vocab *v);
int32_t cut_vocab_bos(const struct cut_vocab *v);         /* -1: none */
int32_t cut_vocab_eos(const struct cut_vocab *v);         /* -1: none */
bool cut_vocab_add_bos(const struct cut_vocab *v);        /* the file asks for BOS before a text */
bool cut_vocab_is_end(const struct cut_vocab *v, int32_t id);   /* generation stops at this token */
enum cut_token_kind cut_vocab_kind(const struct cut_vocab *v, int32_t id);
float cut_vocab_score(const struct cut_vocab *v, int32_t id);

enum { CUT_ENCODE_BOS = 1,      /* put BOS first, where the file asks for it */
       CUT_ENCODE_SPECIAL = 2,  /* read control tokens such as "</s>" in the text as tokens */
};
/* Token ids of a text, in *ids (free() it). Bytes that are not UTF-8 become byte tokens. */
enum cut_status cut_vocab_encode(const struct cut_vocab *v, const char *text, size_t len, unsigned flags,
                                 int32_t **ids, size_t *n, struct cut_err *err);
/* The piece as the file stores it ("\xe2\x96\x81the", "<0x0A>"), terminated. Borrowed. NULL: no such id. */
const char *cut_vocab_piece(const struct cut_vocab *v, int32_t id);
/* The bytes it stands for in text (" the", "\n"; control tokens: none). Returns their number, at most cap. */
size_t cut_vocab_text(const struct cut_vocab *v, int32_t id, char *buf, size_t cap);

/* UTF-8. Decode one code point; returns its length in bytes, or 0 when the bytes are not UTF-8 or cut short. */
int cut_utf8_decode(const char *s, size_t len, uint32_t *cp);
int cut_utf8_encode(uint32_t cp, char out[4]);
/* How many bytes at the end of s are a code point still incomplete (0 to 3): hold them back when streaming. */
size_t cut_utf8_tail(const char *s, size_t len);
/* A text made safe to print on one line: control characters, invisible ones and bytes that are not UTF-8 stand as \n,
 * \t, \\, \xNN or \u{NNNN}. Writes at most cap (4 or more) bytes, terminated; what does not fit is cut and ends in
 * "...". Returns the length written. */
size_t cut_utf8_escape(char *out, size_t cap, const char *s, size_t len);

/* ---------------------------------------------------------------------------------------------------------------
 * Models
 */
struct cut_model;

/* The hyper-parameters, with the names the papers and GGUF give them. */
struct cut_config {
    char arch[32];             /* general.architecture */
    int n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv, head_dim, n_ff;
    int rope_dim;              /* leading dimensions of a head that rotate */
    float rope_base, rope_scale;   /* theta; positions are multiplied by rope_scale (linear scaling: 1 / factor) */
    float norm_eps;
    bool tied;                 /* the output matrix is token_embd */
    uint64_t n_params, weight_bytes;
};

enum {
    /* Read the file into memory instead of mapping it. Mapped, it is shared with other processes and the page cache, and opening costs
     * nothing; but a file written or loaded piece by piece then lies in memory in small pieces, and decoding from those is slower than
     * from the huge pages that reading puts it into. */
    CUT_MODEL_NO_MMAP = 1,
};
enum cut_status cut_model_open(struct cut_model **out, const char *path, unsigned flags, struct cut_err *err);
void cut_model_close(struct cut_model *m);
const struct cut_config *cut_model_config(const struct cut_model *m);
const struct cut_gguf *cut_model_gguf(const struct cut_model *m);
const struct cut_vocab *cut_model_vocab(const struct cut_model *m);
/* "q4_0", "f16": the format that holds most of the weights. */
const char *cut_model_type_name(const struct cut_model *m);

/* The same model with its tensors in other formats, made in memory: no file is written. choose names the format of each tensor of
 * base in turn. A tensor whose format does not change, or that cannot be stored in the chosen one (cut_tensor_fits), is borrowed from
 * base, as are metadata and vocabulary; so base must outlive the result, and the cost is that of the tensors that do change. The
 * weights are decoded and encoded again, shared out over the pool (may be NULL). CUT_EUSAGE: a chosen format cannot be encoded;
 * CUT_EFILE: a weight that is no finite number, with its tensor and index. */
struct cut_pool;
typedef enum cut_type (*cut_type_fn)(void *user, const struct cut_tensor_info *t);
enum cut_status cut_model_rebuild(struct cut_model **out, const struct cut_model *base, cut_type_fn choose, void *user,
                                  struct cut_pool *pool, cut_progress_fn progress, void *progress_user, struct cut_err *err);
/* Can the tensor be stored in this format and run? It must be a matrix with rows of whole blocks, and the format encoded and run. */
bool cut_tensor_fits(const struct cut_tensor_info *t, enum cut_type type);
/* The model this one was rebuilt from; NULL: it was opened from a file. */
const struct cut_model *cut_model_base(const struct cut_model *m);
/* Put one tensor of a rebuilt model into another format, from base's weights; edits of its blocks are lost. Costs that tensor alone. No session
 * may exist on the model, for they are compiled for its formats. CUT_EUSAGE: no rebuilt model, no such tensor, a format it does not fit;
 * on failure nothing has changed. */
enum cut_status cut_model_retype(struct cut_model *m, const char *tensor, enum cut_type type, struct cut_pool *pool, struct cut_err *err);
/* Overwrite one block of a tensor of a rebuilt model; blocks are counted through the rows, bytes holds what the tensor's format needs
 * for one. The block as it was goes to old (may be NULL): writing that back undoes the edit. A borrowed tensor is copied first, so base
 * never changes. No session may be running on the model; those that exist see the new weights from their next pass on, while
 * what their caches hold stays as it was computed. CUT_EUSAGE: no rebuilt model, no such tensor, no such block. */
enum cut_status cut_model_edit_block(struct cut_model *m, const char *tensor, uint64_t block, const void *bytes, void *old,
                                     struct cut_err *err);

/* Write a model whose every weight follows from a seed: `cutaway synth`. args are "key=value", as listed in
 * engine/model/synth.c. */
enum cut_status cut_synth(const char *path, const char *arch, const char *const *args, int n_args, struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * Kernel tiers and threads
 */
enum cut_tier { CUT_TIER_AUTO, CUT_TIER_REF, CUT_TIER_AVX2, CUT_TIER_AVX512, CUT_TIER_NEON, CUT_TIER_COUNT };
const char *cut_tier_name(enum cut_tier t);               /* "ref", "avx2", ... */
bool cut_tier_available(enum cut_tier t);                 /* built in, and the processor and system support it */
enum cut_tier cut_tier_best(void);
/* Read a name; an unknown one, or one this processor lacks, is refused by name. */
enum cut_status cut_tier_parse(enum cut_tier *out, const char *name, struct cut_err *err);

int cut_cpu_count(void);       /* processors the calling thread may use */
/* Their numbers, rising, at most `most`; returns how many. A system that does not tell has 0, 1, 2, ... */
int cut_cpu_list(int *out, int most);
double cut_clock(void);        /* seconds, monotonic */
int64_t cut_clock_ns(void);    /* the same in nanoseconds */

/* A file that appears whole or not at all: written beside its path, flushed to the disk, and renamed, so that a full disk or a kill leaves
 * what stood there. A link is followed and the file's mode kept; a device, a folder, or a file that may not be written is refused
 * (CUT_ESYSTEM). */
struct cut_save { FILE *f; char *path, *temp; };           /* f: to write to; the names belong to it */
/* On failure *s is empty, and closing it does nothing. */
enum cut_status cut_save_open(struct cut_save *s, const char *path, struct cut_err *err);
/* st: how the writing went; an error of the stream counts, too. CUT_OK: the file is at its path. Otherwise st, or what went wrong
 * here, and the temporary file is gone. */
enum cut_status cut_save_close(struct cut_save *s, enum cut_status st, struct cut_err *err);

/* SHA-256 (FIPS 180-4) of a file, as 64 hexadecimal digits and a zero. */
enum cut_status cut_sha256_file(const char *path, char hex[65], struct cut_err *err);
/* The same in pieces. */
struct cut_sha256 { uint32_t h[8]; uint64_t bytes; uint8_t block[64]; };
void cut_sha256_init(struct cut_sha256 *s);
void cut_sha256_add(struct cut_sha256 *s, const void *data, size_t n);
void cut_sha256_done(struct cut_sha256 *s, char hex[65]);

/* A pool of threads, lent to a session while it runs. n counts the calling thread: n = 1 starts none. */
struct cut_pool;
enum cut_status cut_pool_new(struct cut_pool **out, int n, struct cut_err *err);
void cut_pool_free(struct cut_pool *p);
int cut_pool_size(const struct cut_pool *p);
/* Tie each thread to one processor: thread i, the calling one being thread 0, to cpu[i % n]. The same thread must run the pool from
 * then on. n 0, or cut_pool_free, lets all of them go to where the caller could run before. CUT_EUSAGE, by number, for a processor
 * this thread may not use; then nothing is tied. Linux only: elsewhere the system places threads as it likes, and this does nothing. */
enum cut_status cut_pool_pin(struct cut_pool *p, const int *cpu, int n, struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * Sessions
 */
struct cut_session;

/* Quantized weights in the order their products read them (engine/kernels/panel.h): a copy in memory that all sessions of a model share, made
 * when the first of them first runs. AUTO: for the formats and kernels that gain much by it, where the machine has the memory; ALWAYS: q8_0,
 * too, which gains little but in prompts of some 30 tokens, and would answer its first token later. The two orders sum floats differently: results agree to rounding, and to
 * the byte only with the same setting. */
enum cut_repack { CUT_REPACK_AUTO, CUT_REPACK_NEVER, CUT_REPACK_ALWAYS };

/* How the threads divide a product by weights in a pass of one token. ROWS: each sums whole rows, so that no sum depends on their number.
 * SPLIT_K, to show what that saves: each sums a part of every row, some of its blocks of 256 columns; behind a barrier the parts are added
 * up, in the order of the threads. The bytes then depend on the number of threads (the pool's, also where fewer of them work), though not
 * from run to run; with one thread they are those of ROWS with repack NEVER. Passes of several tokens are divided by rows in any case.
 * The barrier lies inside the step: a profile counts waiting at it as work. */
enum cut_reduce { CUT_REDUCE_ROWS, CUT_REDUCE_SPLIT_K };

/* How the threads share out the attention of a pass of one token. GROUPS: the heads of a KV group go together, so that its K and V are
 * read once for all of them; with fewer groups than threads, threads wait. HEADS: each for itself, so that fewer wait and more is read. The
 * bytes are the same. (Attention in separate steps goes by heads in any case.) */
enum cut_attn_split { CUT_ATTN_GROUPS, CUT_ATTN_HEADS };

struct cut_session_opts {
    int n_ctx;                 /* cells of the KV cache; 0: the model's training context, at most 4096 */
    int n_batch;               /* most tokens in one pass; 0: 512 */
    int n_seq;                 /* sequences; 0: 1 */
    enum cut_type kv_type;     /* CUT_F16 (or CUT_F32: zero value) */
    enum cut_tier tier;        /* CUT_TIER_AUTO: the best */
    enum cut_repack repack;    /* weights in panels: where it pays (the zero value), never, or wherever they can be */
    enum cut_reduce reduce;    /* SPLIT_K reads rows, so repack is NEVER then; CUT_EUSAGE with ALWAYS */
    enum cut_attn_split attn;
    bool activations_f32;      /* multiply decoded weights by unrounded activations, to measure the rounding */
    bool keep;                 /* keep every value of a pass and every token's queries: what the workbench uses */
    bool plain_attention;      /* scores, softmax and mix as separate steps, instead of online softmax */
    struct cut_pool *pool;     /* borrowed for the session's life; NULL: the calling thread alone */
};

/* Compile the model's program and allocate cache and buffers. The model must outlive the session. */
enum cut_status cut_session_new(struct cut_session **out, const struct cut_model *m, const struct cut_session_opts *opts,
                                struct cut_err *err);
void cut_session_free(struct cut_session *s);
const struct cut_model *cut_session_model(const struct cut_session *s);
const struct cut_session_opts *cut_session_opts(const struct cut_session *s);   /* with the defaults filled in */

/* ---- tokens in */

enum { CUT_FEED_ALL_LOGITS = 1 };   /* logits for every token, not only for the last */
/* Queue tokens at the end of a sequence. Nothing is computed yet. CUT_EFULL when the cache cannot hold them,
 * CUT_EUSAGE for an id outside the vocabulary. */
enum cut_status cut_session_feed(struct cut_session *s, int seq, const int32_t *ids, int n, unsigned flags,
                                 struct cut_err *err);
/* Forget the tokens of a sequence from position pos on (pos = 0: all). */
enum cut_status cut_session_truncate(struct cut_session *s, int seq, int pos, struct cut_err *err);
/* Make dst (emptied first) a copy of src that shares its cells until either writes. */
enum cut_status cut_session_fork(struct cut_session *s, int src, int dst, struct cut_err *err);
/* Everything back to the state of a new session; probes, breakpoints and edits too. */
void cut_session_reset(struct cut_session *s);
/* The tokens of a sequence, evaluated and queued. Borrowed until the next call that changes the session. */
const int32_t *cut_session_tokens(const struct cut_session *s, int seq, int *n);

/* ---- running
 *
 * A pass evaluates a batch of T queued tokens, at most n_batch, by running the program's steps in order. */

enum cut_stop { CUT_STOP_DONE,   /* nothing is queued any more */
                CUT_STOP_STEP,   /* the asked number of steps was made */
                CUT_STOP_BREAK,  /* a breakpoint; cut_session_where tells which step comes next */
};
/* Evaluate all that is queued, or up to the next breakpoint. */
enum cut_status cut_session_run(struct cut_session *s, enum cut_stop *why, struct cut_err *err);
/* Make n steps (in keep mode), crossing into the next queued pass where one ends. */
enum cut_status cut_session_step(struct cut_session *s, int n, enum cut_stop *why, struct cut_err *err);
/* Undo n steps: the state is then exactly what it was. Crosses into earlier passes; stops at the very start. */
enum cut_status cut_session_back(struct cut_session *s, int n, struct cut_err *err);
/* Go to the moment before step `step` of pass `pass` (or after its last step: step = number of steps). */
enum cut_status cut_session_seek(struct cut_session *s, int pass, int step, struct cut_err *err);
/* Ask a running session to stop; it returns CUT_ECANCEL between two steps. From any thread, also a signal handler. A request
 * stays until it has cancelled one call; cut_session_uncancel takes it back. A cancelled free pass is queued again whole. */
void cut_session_cancel(struct cut_session *s);
void cut_session_uncancel(struct cut_session *s);

/* cut_session_run, on a thread of its own: meanwhile this one calls progress some twenty times a second, and cancels when that returns
 * false (CUT_ECANCEL). A pass does not tell how far it is, so the part is the time gone by over `expected` seconds, 0 where these are not
 * known. progress NULL: plain cut_session_run. CUT_EUSAGE at a breakpoint. */
enum cut_status cut_session_run_aside(struct cut_session *s, double expected, cut_progress_fn progress, void *user, const char *what,
                                      struct cut_err *err);

struct cut_where {
    int pass, n_passes;        /* the pass under way, from 0; passes made or queued so far */
    int step, n_steps;         /* the step that runs next: 0 before the first, n_steps after the last */
    int n_tokens;              /* T of this pass */
    int pos;                   /* position of its first token */
    int n_queued;              /* tokens waiting after this pass */
};
struct cut_where cut_session_where(const struct cut_session *s);
/* The pass that evaluates (or will evaluate) the token at this position of a sequence, and its row there; -1: none. */
int cut_session_pass_of(const struct cut_session *s, int seq, int pos, int *row);

/* The sampler that the program's last step, "sample", uses; borrowed; NULL: the most likely token. Its random state is part of
 * what back and seek restore. */
struct cut_sampler;
void cut_session_sampler(struct cut_session *s, struct cut_sampler *sampler);
/* The token that step chose for output row i (-1: the last); -1: not reached, or a free run without a sampler. */
int32_t cut_session_sampled(const struct cut_session *s, int i);

/* Logits, n_vocab floats, of output row i of the last pass (i = -1: its last). NULL: that pass has no such row. Borrowed
 * until the next run. */
const float *cut_session_logits(const struct cut_session *s, int i);

/* ---- the listing */

struct cut_src { const char *file; int line; const char *function; };

/* One line of the program. Borrowed from the session for its life. */
struct cut_step {
    const char *name;          /* "blk.3.scores" */
    const char *alias;         /* TransformerLens: "blocks.3.attn.hook_attn_scores"; NULL: it has none */
    const char *op;            /* "matmul", "rms_norm", "softmax", ... */
    const char *formula;       /* in the notation of the papers, UTF-8 */
    const char *cite;          /* where the formula comes from: paper and section; NULL: plain arithmetic */
    int layer;                 /* -1 outside the blocks */
    int n_in;
    const char *in[3];         /* names of the values it reads */
    const char *weight;        /* the tensor of the file it reads; NULL: none */
    const char *kernel;        /* the kernel that runs it: "mm q8_0 avx512" */
    struct cut_src built;      /* where the architecture asks for it */
    struct cut_src source;     /* where the reference kernel computes it */
};
int cut_session_n_steps(const struct cut_session *s);
const struct cut_step *cut_session_step_at(const struct cut_session *s, int i);   /* NULL: out of range */
int cut_session_find_step(const struct cut_session *s, const char *name);         /* by name or alias; -1: none */

/* The text of a source file of the engine, as it was built ("engine/kernels/ref.c"); NULL: not carried along. Static. */
const char *cut_source_text(const char *file, size_t *len);

/* ---- values */

/* How a number came about. It travels with the value. */
enum cut_tag { CUT_REAL,       /* computed by this run */
               CUT_DERIVED,    /* computed on demand from values of this run */
};

/* A view of a value: floats, ne[0] fastest. Borrowed until the session runs or changes. */
struct cut_tensor {
    const char *name;
    int n_dims;                /* 1 to 3 */
    int64_t ne[3];
    const char *axis[3];       /* what each dimension counts: "dim", "head", "token", "key", "vocab" */
    float *data;               /* NULL: not computed yet */
    enum cut_tag tag;
    bool edited;               /* an edit touched it, or something it came from */
};
/* The value step i writes, if this pass has reached it (data is NULL otherwise). Needs keep, or a probe. */
enum cut_status cut_session_value(struct cut_session *s, int step, struct cut_tensor *out, struct cut_err *err);
/* Bytes read by, and floating (or integer) operations of, a step of the present pass. */
void cut_session_cost(const struct cut_session *s, int step, uint64_t *bytes, uint64_t *flops);
/* Seconds the step took when it last ran alone (stepping or watched); 0: it has not. */
double cut_session_step_time(const struct cut_session *s, int step);

struct cut_stats {
    float min, max, mean, rms;
    int64_t n, n_nan, n_inf;
    int64_t hist[32];          /* equal bins from min to max */
};
void cut_tensor_stats(const float *x, int64_t n, struct cut_stats *out);

/* One value taken apart, recomputed in plain C from the values the step read: a sum of terms a * b (the columns of a matrix product,
 * the dimensions of q.k, the keys of an attention mix), or a product of factors a (a norm: x, scale, w). */
struct cut_term { char label[24]; float a, b, term; };
struct cut_explain {
    char how[96];              /* the formula with this cell's names: "Σ q[3][d] K[5][d] / √64" */
    char note[96];             /* what scales or follows the sum: "/ √64 = 8"; "" where nothing does */
    bool product;              /* the terms are factors */
    float value;               /* what the kernel wrote */
    float total;               /* what the terms come to, after the note */
    double ulps;               /* |value - total| in units of the last place of value */
    int n_terms;
    struct cut_term *terms;    /* in order of index; free with cut_explain_done */
};
/* at: the cell, { i0, i1, row }. CUT_EUSAGE: no such cell, or not computed yet. */
enum cut_status cut_session_explain(struct cut_session *s, int step, const int64_t at[3], struct cut_explain *out,
                                    struct cut_err *err);
void cut_explain_done(struct cut_explain *e);

/* Attention of one head as the token at `pos` of a sequence sees the cache: pos + 1 numbers, recomputed from its kept
 * query and the cached keys (DERIVED). Needs keep. */
enum cut_attn_stage { CUT_ATTN_RAW,      /* q.k */
                      CUT_ATTN_SCALED,   /* q.k / sqrt(d) */
                      CUT_ATTN_SOFTMAX,  /* the pattern */
                      CUT_ATTN_VALUE,    /* pattern times |v|, summing to 1 */
};
enum cut_status cut_session_attention(struct cut_session *s, int seq, int layer, int head, int pos,
                                      enum cut_attn_stage stage, float *out, struct cut_err *err);

/* True while scores and pattern are what the pass computes with: asked for by plain_attention, or because an edit or an
 * editing probe touches them. Otherwise attention runs with online softmax, and scores and pattern are DERIVED for viewing. */
bool cut_session_is_plain(const struct cut_session *s);

/* ---- probes, breakpoints, edits */

/* Called after a step whose name matches, with the pool idle, on the thread that runs the session. The tensor dies
 * when the probe returns. An editing probe may change its data. Returning false cancels the run. */
typedef bool (*cut_probe_fn)(void *user, const struct cut_step *step, struct cut_tensor *value);
enum { CUT_PROBE_EDIT = 1 };
/* pattern: a step name or alias, where * stands for any characters: "blk.*.pattern". *id names the probe. */
enum cut_status cut_session_probe(struct cut_session *s, const char *pattern, cut_probe_fn fn, void *user, unsigned flags,
                                  int *id, struct cut_err *err);
void cut_session_unprobe(struct cut_session *s, int id);

/* A breakpoint stops before a step runs; with above > 0, after it ran with max |x| > above. */
struct cut_break { char pattern[64]; float above; };
enum cut_status cut_session_break(struct cut_session *s, const struct cut_break *b, struct cut_err *err);
void cut_session_unbreak(struct cut_session *s, int i);
int cut_session_breaks(const struct cut_session *s, const struct cut_break **out);

/* An edit changes part of a step's value each time the step runs for a token in [pos0, pos1]. Indices of -1 mean all. */
enum cut_edit_op { CUT_EDIT_SET, CUT_EDIT_SCALE };
struct cut_edit {
    char step[64];             /* a step name, exactly */
    enum cut_edit_op op;
    float value;
    int i0, i1;                /* along ne[0] and ne[1] (for a value of heads: dimension, head) */
    int seq, pos0, pos1;       /* pos1 = -1: and all that follow */
};
/* Add an edit, go back to the first token it touches, and run again up to where we are. */
enum cut_status cut_session_edit(struct cut_session *s, const struct cut_edit *e, struct cut_err *err);
/* Drop the last edit, likewise. CUT_EUSAGE when there is none. */
enum cut_status cut_session_undo(struct cut_session *s, struct cut_err *err);
int cut_session_edits(const struct cut_session *s, const struct cut_edit **out);

/* ---- counters: exact, and free of the clock */

struct cut_counters {
    uint64_t tokens;           /* evaluated, replays included */
    uint64_t passes, steps;
    uint64_t bytes;            /* of weights and cache read by steps */
    uint64_t flops;
    uint64_t allocs;           /* made while running; 0 per token in a free run */
};
struct cut_counters cut_session_counters(const struct cut_session *s);

/* ---- where the time goes
 *
 * With a profile on, each thread notes when it starts and ends its share of every step of a free pass (two readings of the clock).
 * Steps are those of the fused program: each makes one or more lines of the listing. Times are nanoseconds from the pass's start. */
struct cut_span { int64_t t0, t1; };
struct cut_profile_step {
    const char *name;          /* the last value it makes: "blk.3.resid_mid" */
    int first, n;              /* lines of the listing [first, first + n) */
    int layer;                 /* -1 outside the blocks */
    uint64_t bytes, flops;     /* as cut_session_cost counts them */
    int64_t t0, t1;            /* from the moment all threads were through with the step before, to when all are with this */
};
struct cut_profile {
    int n_steps, n_threads;
    const struct cut_profile_step *step;
    const struct cut_span *span;       /* [n_steps][n_threads] */
    int64_t wall;              /* of the whole pass; before step 0 it is set up */
    int n_tokens, n_cells;     /* T and P of the pass */
};
enum cut_status cut_session_profile(struct cut_session *s, bool on, struct cut_err *err);
/* The last free pass. false: profiling was off then. Borrowed until the session runs again. */
bool cut_session_profiled(struct cut_session *s, struct cut_profile *out);

struct cut_memory { uint64_t weights, panels, kv, activations, other; };   /* bytes held; weights are the file's, panels their copy */
struct cut_memory cut_session_memory(const struct cut_session *s);

struct cut_kv_state { int n_cells, n_used, page; uint64_t cell_bytes; };   /* page: cells in one */
struct cut_kv_state cut_session_kv(const struct cut_session *s);

/* ---------------------------------------------------------------------------------------------------------------
 * Sampling
 *
 * The chain, in llama.cpp's order: repeat penalty, top-k, top-p, min-p, temperature, then a draw.
 */
struct cut_sampler_opts {
    float temp;                /* 0: greedy, the largest logit after the repeat penalty */
    int top_k;                 /* 0: off */
    float top_p;               /* 1: off (Holtzman et al. 2020) */
    float min_p;               /* 0: off (Nguyen et al. 2024) */
    float repeat_penalty;      /* 1: off (Keskar et al. 2019, section 4.1) */
    int repeat_last;           /* tokens looked back at */
    uint64_t seed;
};
extern const struct cut_sampler_opts cut_sampler_defaults;     /* 0.8, 40, 0.95, 0.05, 1.0, 64, seed 1 */
enum cut_status cut_sampler_check(const struct cut_sampler_opts *o, struct cut_err *err);

struct cut_candidate { int32_t id; float logit, p; };      /* the logit before temperature, p after it */
struct cut_sampler;
enum cut_status cut_sampler_new(struct cut_sampler **out, int n_vocab, const struct cut_sampler_opts *o,
                                struct cut_err *err);
void cut_sampler_free(struct cut_sampler *s);
/* Choose the next token; history (may be NULL) is what the penalty looks at. Allocates nothing. */
int32_t cut_sampler_next(struct cut_sampler *s, const float *logits, const int32_t *history, int n_history);
/* What was left for the last draw, most likely first. Borrowed until the next call. */
const struct cut_candidate *cut_sampler_left(const struct cut_sampler *s, int *n);
/* The random state, to save and restore. */
uint64_t cut_sampler_state(const struct cut_sampler *s);
void cut_sampler_set_state(struct cut_sampler *s, uint64_t state);
/* The k most likely tokens by softmax over all logits, best first; returns how many. */
int cut_top(const float *logits, int n_vocab, struct cut_candidate *out, int k);

/* ---------------------------------------------------------------------------------------------------------------
 * Jobs over a session
 */

/* Generate. Each piece of text goes to `emit` as soon as it can: whole UTF-8 characters, and never a part of a stop
 * string. emit is called once for each token, with the text that became certain (len may be 0), and at the end once more
 * with id -1 where text was still held back. Returning false from emit ends the run with CUT_ECANCEL. *stats is filled
 * also when generation fails or is cancelled on the way; only refused arguments leave it untouched. */
struct cut_generate_opts {
    int n_predict;             /* most tokens to generate; -1: until the end token or a full context */
    const char *const *stop;   /* strings that end it; not emitted */
    int n_stop;
    bool ignore_end;           /* go on past end tokens */
};
struct cut_generate_stats {
    int n_prompt, n_generated;
    double prefill_s, decode_s;
    enum { CUT_END_LENGTH, CUT_END_TOKEN, CUT_END_STRING, CUT_END_CONTEXT } end;
};
typedef bool (*cut_emit_fn)(void *user, const char *text, size_t len, int32_t id);
enum cut_status cut_generate(struct cut_session *s, struct cut_sampler *sm, const int32_t *prompt, int n_prompt,
                             const struct cut_generate_opts *o, cut_emit_fn emit, void *user,
                             struct cut_generate_stats *stats, struct cut_err *err);

/* Measure prefill of p tokens, then n single tokens, both behind `depth` others, r times after a warm-up round. The others are not
 * evaluated: their cells hold numbers at random, which are as fast to read.
 * n_seq sequences (0: one; at most the session's) decode together, a token each in a pass; decode_tps counts those of all.
 * progress (may be NULL) is told the part done, 0 to 1; returning false stops. */
struct cut_bench_opts { int p, n, r, depth, n_seq; };
struct cut_bench_round { double prefill_tps, decode_tps; };
struct cut_bench_result {
    double prefill_tps, decode_tps;    /* medians */
    struct cut_bench_round round[64];  /* r of them */
    /* What the engine counted in a round: the p tokens of prefill, and the n of decode of every sequence. Cells of the cache count
     * for each token that sees them. */
    uint64_t prefill_bytes, prefill_flops, decode_bytes, decode_flops;
};
enum cut_status cut_bench(struct cut_session *s, const struct cut_bench_opts *o, cut_progress_fn progress, void *user,
                          struct cut_bench_result *out, struct cut_err *err);

/* ---- operations, demonstrated: the same result in several ways, with the time and the flops of each */

enum { CUT_OPS_DEMOS = 6 };
const char *cut_ops_name(int demo);       /* "matmul", "norm", "elementwise", "attention", "types", "graph" */
const char *cut_ops_about(int demo);      /* one line */
struct cut_ops_opts {
    int size;                  /* how large: rows and columns of the matrices of matmul; the others scale with it. Multiple of 32 */
    double seconds;            /* spent on each line, about */
    enum cut_tier tier;        /* of the kernels that plain C is compared with */
    struct cut_pool *pool;     /* borrowed; NULL: one thread */
    const struct cut_model *model;     /* for graph; borrowed */
};
struct cut_ops_row {
    const char *demo;
    char what[56], note[64];
    double seconds;            /* of one run, the fastest of five; 0: this line counts something */
    double flops, bytes;       /* of one run: operations, and bytes that must be read or written at least once */
    int count;
    bool checked;              /* against the first way of computing it: */
    double error;              /* the largest difference, as a share of the largest result */
};
/* Called with each line as it is measured; returning false ends the demonstration with CUT_ECANCEL. */
typedef bool (*cut_ops_fn)(void *user, const struct cut_ops_row *row);
enum cut_status cut_ops(int demo, const struct cut_ops_opts *o, cut_ops_fn fn, void *user, struct cut_err *err);

/* ---- what the machine can do at most */

enum cut_peak_kind { CUT_PEAK_READ,    /* bytes read from memory a second */
                     CUT_PEAK_F32,     /* operations a second, a multiplication and an addition counting as two: float multiply-add, */
                     CUT_PEAK_INT8,    /* products of bytes added to 32-bit sums, */
                     CUT_PEAK_BF16,    /* products of bfloat16 added to floats */
};
const char *cut_peak_name(enum cut_peak_kind kind);       /* "read", "f32", "int8", "bf16" */
struct cut_peak {
    enum cut_peak_kind kind;
    enum cut_tier tier;        /* that has the instruction; CUT_TIER_AUTO for READ */
    const char *instruction;   /* "vpdpbusd zmm". Static */
    int threads;
    double rate, median;       /* the best and the middle of several runs */
};
struct cut_peaks { int n; struct cut_peak peak[64]; };
struct cut_peaks_opts {
    int threads;               /* most; 0: all processors */
    double seconds;            /* of a run, of which there are 7 for each number; 0: 0.02 */
    size_t bytes;              /* memory that is read, once a run; 0: 256 MiB. Less than the caches measures these */
};
/* Measure them: loops in assembly with one thread and with all, reading with 1, 2, 4, ... threads and with all. */
enum cut_status cut_peaks(struct cut_peaks *out, const struct cut_peaks_opts *o, cut_progress_fn progress, void *user,
                          struct cut_err *err);
/* The best rate of a kind that a tier has with so many threads (for READ, the tier is ignored); 0: not measured. */
double cut_peak_rate(const struct cut_peaks *p, enum cut_peak_kind kind, enum cut_tier tier, int threads);

/* ---- what repeated measurements say */

struct cut_speed {
    int n;
    double run[16];            /* in the order they were made */
    double median, q1, q3;     /* quartiles */
    bool noisy;                /* the quartiles are more than 5 % of the median apart: measure again */
};
/* At most 16 runs; the rest is left out. */
void cut_speed_of(struct cut_speed *out, const double *runs, int n);
/* The probability that two samples (1 to 16 values each) differ as much as these by chance alone: the two-sided rank test of Mann and
 * Whitney 1947, counted exactly. 1 when a sample is empty. */
double cut_rank_test(const double *a, int na, const double *b, int nb);

/* Speed against threads: lambda n / (1 + sigma (n - 1) + kappa n (n - 1)), the universal scalability law of Gunther 1993. */
struct cut_usl {
    double lambda;             /* tokens/s of one thread */
    double sigma;              /* the share that does not run side by side */
    double kappa;              /* what each pair of threads costs */
    double best;               /* the count with the highest speed; infinite where kappa is 0 */
};
/* From measured points, one of them with one thread and one with more; false otherwise. */
bool cut_usl_fit(struct cut_usl *out, const int *threads, const double *tps, int n);
double cut_usl_at(const struct cut_usl *f, double n);

/* One point of a sweep over threads, depths, kernels or sequences: `rounds` times `tokens` tokens of decode behind `depth` others, or of
 * prefill, in a session of its own; and one pass more with the profile on. */
struct cut_sweep_opts {
    int threads;
    enum cut_tier tier;
    bool prefill;
    int tokens, rounds;        /* rounds: 1 to 16 */
    int depth;                 /* tokens in the cache before decode */
    int n_seq;                 /* sequences that decode together, a token each in a pass, each behind `depth` of its own; 0: one */
    enum cut_reduce reduce;    /* of the session; SPLIT_K changes the bytes from one number of threads to another */
    enum cut_attn_split attn;
    const int *cpu;            /* processors to tie the threads to, as cut_pool_pin does; */
    int n_cpu;                 /* 0: the system places them */
    float *logits;             /* NULL, or room for the last logits: n_vocab floats */
};
struct cut_sweep_point {
    struct cut_speed tps;      /* tokens a second, of all sequences together */
    uint64_t bytes;            /* read by one pass: weights, cache, activations; */
    uint64_t weights;          /* the weights among them, which are read once for all tokens of the pass */
    uint64_t flops;            /* of one pass: 2 for a multiplication and the addition of its product */
    double read;               /* bytes a second at the median */
    double waited;             /* 0 to 1: the share of the threads' time spent waiting for each other */
    uint64_t print;            /* a hash of the last logits: equal where every byte of them is */
};
/* Tokens it evaluates: the rounds and one to warm up, what the profiled pass lies behind, and that pass. The part that progress gets is of these. */
int cut_sweep_tokens(const struct cut_sweep_opts *o);
enum cut_status cut_sweep_one(const struct cut_model *m, const struct cut_sweep_opts *o, cut_progress_fn progress, void *user,
                              struct cut_sweep_point *out, struct cut_err *err);
/* The most units in the last place that two vectors lie apart, each counted at the size of the larger of its two numbers, but no
 * smaller than the vectors' root mean square: what is nearly zero by cancellation does not count as far off. A number that is not finite
 * in one of them is equal or infinitely far off. */
double cut_ulps_apart(const float *a, const float *b, int n);

/* Two ways to run a model beside each other: the same bytes? Passes of `tokens` tokens (1 to 64) and of one behind them. */
struct cut_same_side { enum cut_tier tier; int threads; enum cut_reduce reduce; enum cut_attn_split attn; };
struct cut_same {
    bool same;                 /* every byte of the logits of both passes, run freely */
    double logits_ulps;        /* the most these are apart (cut_ulps_apart) */
    int n_steps, n_differ;     /* lines of the listing; those whose values differ, in the first pass in which one does */
    int step, pass;            /* the first of them, run with every value kept; -1: none. pass: 0 of several tokens, 1 of one */
    char name[64], op[24], weight[64];     /* of that step; weight "": it reads none */
    int64_t row, col;          /* its first number that differs, */
    float a, b;                /* on both sides */
    double ulps;               /* the most its values are apart */
};
enum cut_status cut_same_bytes(const struct cut_model *m, const struct cut_same_side *a, const struct cut_same_side *b, int tokens,
                               cut_progress_fn progress, void *user, struct cut_same *out, struct cut_err *err);

/* The instructions of a product by weights, each counted where it stands: a child process multiplies a few rows under ptrace, one instruction
 * at a time. What is counted is the difference between so many rows and twice as many, in which calls, starts and what is prepared of the
 * tokens cancel out: the same numbers on a busy machine as on an idle one. */
struct cut_instruction {
    uint64_t at;               /* its address, in this process as it runs; where the program was linked to lies lower by what it was loaded at */
    int64_t times;             /* how often it was executed; never 0 */
};
struct cut_instructions {
    enum cut_tier tier;
    enum cut_type type;
    bool panels;               /* weights repacked, as sessions do where it pays (cut_repack) */
    int tokens, rows, columns; /* of the product that was counted */
    uint64_t weights;          /* rows x columns */
    int64_t total;             /* instructions: the sum over all addresses */
    int n;
    struct cut_instruction *at;        /* rising by address */
    /* The hot loop: the shortest run of addresses that holds half of all instructions and was cut where counts change, for the body of a
     * loop is executed as a whole. */
    int loop, n_loop;          /* at[loop] .. at[loop + n_loop - 1] */
    int64_t passes;            /* how often it was gone through: the lowest count in it. Loops inside it have a multiple of that */
};
struct cut_instructions_opts {
    enum cut_type type;
    enum cut_tier tier;
    int tokens;                /* that the weights meet at once: 1 (decode) to 8 (prefill) */
    enum cut_repack repack;    /* as of a session */
};
/* CUT_EUSAGE: there is no such product, CUT_ESYSTEM: the system does not let a process look into its child (Linux does, unless it was told
 * otherwise). Takes a second or so. Free `out` with cut_instructions_done. */
enum cut_status cut_instructions(struct cut_instructions *out, const struct cut_instructions_opts *o, cut_progress_fn progress, void *user,
                                 struct cut_err *err);
void cut_instructions_done(struct cut_instructions *i);
/* Of these, how many a weight of this format costs when a tier decodes (one token). NAN where it cannot be counted. */
double cut_instructions_per_weight(enum cut_type type, enum cut_tier tier);

/* ---- a survey of a model on this machine: threads, prompt lengths, memory, and advice */

struct cut_survey_point {
    int threads, tokens;
    bool prefill;
    struct cut_speed tps;
    double read;               /* bytes a second */
    double waited;             /* 0 to 1: of the threads' time, spent waiting for each other */
    double busy;               /* processors this process kept busy, on average */
};
struct cut_survey_opts {
    const int *threads; int n_threads;     /* counts to try, rising; 1 to 16 of them */
    const int *prompts; int n_prompts;     /* lengths to try with the best count, rising; 0 to 16 */
    int tokens, prompt;        /* of decode, and of prefill, for each count of threads */
    int rounds;                /* 1 to 16 */
    enum cut_tier tier;
};
struct cut_survey {
    int n_threads, n_prompts;
    struct cut_survey_point decode[16], prefill[16], prompt[16];
    struct cut_memory memory;  /* of a session with the model's own context */
    uint64_t resident, virtual_;   /* bytes of this process; 0: the system does not say */
    double bandwidth;          /* bytes a second that memory gives to the most threads tried */
    int n_advice;
    char advice[8][200];       /* one sentence or two each, with the numbers they rest on */
};
enum cut_status cut_survey(const struct cut_model *m, const struct cut_survey_opts *o, cut_progress_fn progress, void *user,
                           struct cut_survey *out, struct cut_err *err);

/* ---- a gate: has it become worse than it was? */

struct cut_gate_record {
    char model[128], kernels[16];
    int threads, p, n;         /* tokens of prefill and decode in a trial */
    double perplexity;         /* 0: not measured */
    char text[65];             /* the SHA-256 of what it was measured over; "": not measured, or not noted */
    struct cut_speed prefill, decode;      /* of each trial; none: not measured */
    uint64_t memory;           /* weights, cache and buffers */
};
/* Perplexity over a text (NULL: without), then o->r trials of speed, at most 16. The session's pool and tier are recorded. */
enum cut_status cut_gate_measure(struct cut_session *s, const char *text, const struct cut_bench_opts *o, cut_progress_fn progress, void *user,
                                 struct cut_gate_record *out, struct cut_err *err);
/* Records in a text file, "key: value" lines with "---" after each record. Reading gives a list to free(). */
enum cut_status cut_gate_write(const char *path, const struct cut_gate_record *r, int n, struct cut_err *err);
enum cut_status cut_gate_read(const char *path, struct cut_gate_record **out, int *n, struct cut_err *err);
/* The same model, kernels, threads, lengths and (where both have one) text, so that numbers can be compared. */
bool cut_gate_like(const struct cut_gate_record *a, const struct cut_gate_record *b);
/* What is usual: medians over the last 16 records of the past that are like `now`. False: there are none. */
bool cut_gate_usual(const struct cut_gate_record *past, int n, const struct cut_gate_record *now, struct cut_gate_record *out);

struct cut_gate_limits { double perplexity, speed, memory; };      /* shares: how much higher, how much lower, how much higher */
extern const struct cut_gate_limits cut_gate_defaults;             /* 0.05, 0.10, 0.10 */
struct cut_gate_line {
    const char *what;
    double before, now;        /* 0: not measured */
    double change, limit;      /* now / before - 1, and where that becomes too much */
    double chance;             /* speed: the probability that the trials differ as much by chance; others: 1 */
    bool worse;                /* beyond the limit; for speed also: not likely by chance, where there are 4 trials on both sides */
};
enum { CUT_GATE_LINES = 4 };
/* Returns how many lines are worse. */
int cut_gate_compare(const struct cut_gate_record *before, const struct cut_gate_record *now, const struct cut_gate_limits *l,
                     struct cut_gate_line line[CUT_GATE_LINES]);

/* How well the session's model predicts a text: documents that start with the text of BOS ("<s>") each from an empty cache, a text
 * without any in pieces of the context's length. progress as above. The session's sequence 0 is used up. */
struct cut_perplexity_result {
    double perplexity;         /* exp(loss) */
    double loss;               /* nats per token */
    uint64_t tokens, documents;
    double error;              /* standard error of the perplexity */
};
enum cut_status cut_perplexity(struct cut_session *s, const char *text, cut_progress_fn progress, void *user,
                               struct cut_perplexity_result *out, struct cut_err *err);

/* What a layer is given to multiply: the activations in front of the matrix `tensor` ("blk.1.ffn_down.weight"), from running documents
 * of a text through the model, for the methods of quantization above. Part `part` of `parts` takes every parts-th document, so that
 * part 0 of 2 can teach a method and part 1 of 2 judge it; what the parts are too long for is passed over evenly. */
struct cut_activations { float *x; int tokens, cols; };       /* x [tokens][cols]; free with cut_activations_done */
struct cut_activations_opts { int part, parts, max_tokens; struct cut_pool *pool; };    /* pool: borrowed, or NULL */
enum cut_status cut_activations_collect(struct cut_activations *out, const struct cut_model *m, const char *tensor, const char *text,
                                        const struct cut_activations_opts *o, cut_progress_fn progress, void *user,
                                        struct cut_err *err);
void cut_activations_done(struct cut_activations *a);
/* ---------------------------------------------------------------------------------------------------------------
 * Quantizing
 *
 * A file type ("q4_K_M") is a recipe: the format most matrices get, and which get another, because more depends on them
 * or because their rows do not fit. A plan says what each tensor gets, and why, before anything is computed.
 */

struct cut_file_type {
    uint32_t id;               /* GGUF's general.file_type, with llama.cpp's numbers */
    const char *name;          /* "q4_K_M" */
    enum cut_type type;        /* what a matrix gets unless a rule says otherwise */
    const char *what;          /* in a few words: for whom */
};
/* The table. Static. */
const struct cut_file_type *cut_file_types(int *n);
/* By name, in any case; "q3_K", "q4_K" and "q5_K" mean the _M. NULL: unknown. */
const struct cut_file_type *cut_file_type_by_name(const char *name);
const struct cut_file_type *cut_file_type_by_id(uint32_t id);     /* NULL: unknown */

struct cut_imatrix;

/* A rule of one's own: tensors whose name matches (with or without its ".weight"; * stands for any characters) get this
 * format. The first that matches counts; it goes before the file type's rules. */
struct cut_type_rule { const char *pattern; enum cut_type type; };

struct cut_quantize_opts {
    const struct cut_file_type *file_type;
    const struct cut_type_rule *rules;         /* borrowed */
    int n_rules;
    const enum cut_type *output_type;          /* of output.weight; NULL: by the file type */
    const enum cut_type *token_embedding_type; /* of token_embd.weight; NULL: by the file type */
    bool pure;                 /* the same format for every matrix: no rules of the file type */
    const struct cut_imatrix *imatrix;         /* which columns matter; NULL: all alike */
    bool force;                /* write very low bits (IQ1, IQ2, ...) without an importance matrix all the same */
    struct cut_pool *pool;     /* borrowed; NULL: the calling thread alone */
};

struct cut_plan_tensor {
    const struct cut_tensor_info *from;        /* borrowed from the cut_gguf */
    enum cut_type type;        /* what it gets */
    enum cut_type wanted;      /* what the recipe asked for; another than type where the rows do not fit */
    bool kept;                 /* not quantized: a vector, a norm, ... */
    bool needs_imatrix;        /* so few bits that llama.cpp wants an importance matrix for it */
    uint64_t bytes;            /* in the new format */
    char why[120];             /* which rule chose it, and what became of its wish: one line */
};
struct cut_plan {
    struct cut_plan_tensor *tensor;            /* in the file's order */
    uint64_t n, n_fallback;    /* fallbacks: tensors where type is not wanted */
    uint64_t weights;          /* elements of all tensors */
    uint64_t from_bytes, bytes;
    const char *needs_imatrix; /* name of the first tensor that does and would be without; NULL: none */
    uint64_t n_again;          /* tensors rounded a second time: quantized already, and given another format of few bits */
    uint64_t n_without;        /* tensors to be quantized that the importance matrix does not name (by cut_plan_check_imatrix) */
    const char *idle_rule;     /* pattern of the first rule of o->rules that decided about no tensor; NULL: none */
};
/* What each tensor of a file gets. The assignment is that of llama.cpp's quantizer, tensor by tensor. The rules read
 * the metadata (layers, heads, experts), so a file without it gets plain types; of o->imatrix they only ask whether there is one. Free with cut_plan_done; it borrows from
 * g and o. */
enum cut_status cut_quantize_plan(struct cut_plan *out, const struct cut_gguf *g, const struct cut_quantize_opts *o,
                                  struct cut_err *err);
void cut_plan_done(struct cut_plan *p);
/* Does the importance matrix (NULL: none, which is fine) belong to the model `file`? CUT_EUSAGE: it has other numbers of columns, or names none
 * of the tensors that are to be quantized. Sets n_without. cut_quantize and cut_model_quantize ask this, too. */
enum cut_status cut_plan_check_imatrix(struct cut_plan *p, const struct cut_imatrix *im, const char *file, struct cut_err *err);

/* Write a model by such a plan, with the metadata llama.cpp writes. Weights that are not finite are refused, by tensor and
 * index; so are formats that cannot be encoded, and very low bits without an importance matrix (but for force). The file
 * appears at `out` when it is whole; `in` and `out` may be the same. progress: the part done, and the tensor's name. */
enum cut_status cut_quantize(const char *in, const char *out, const struct cut_quantize_opts *o, cut_progress_fn progress,
                             void *user, struct cut_err *err);

/* What cut_quantize would write, as a model in memory rebuilt from base (see cut_model_rebuild: base must outlive it). */
enum cut_status cut_model_quantize(struct cut_model **out, const struct cut_model *base, const struct cut_quantize_opts *o,
                                   cut_progress_fn progress, void *user, struct cut_err *err);

/* ---- the importance matrix
 *
 * For each matrix, how large each of its inputs is in use: the mean square of the activation that column j multiplies, over
 * a text. An error in a weight costs the product that much, so the encoders weigh errors by it. */

struct cut_imatrix_entry {
    const char *name;          /* of the weight: "blk.0.ffn_down.weight" */
    int n, n_mat;              /* columns; matrices in the tensor (experts), or 1 */
    const float *sum2;         /* [n_mat][n] sums of squares */
    const float *counts;       /* [n_mat] rows of activations summed */
    const float *mean;         /* [n_mat][n] sum2 / count; 1 where a matrix was never used */
};
struct cut_imatrix_info {
    const char *file;          /* where it was loaded from; "" */
    const char *dataset;       /* the (last) text it was collected over; "" unknown */
    int n_entries, n_chunks, chunk_size;       /* pieces of text, tokens in one */
};
struct cut_imatrix_opts { bool output; /* the output matrix, too (llama.cpp leaves it out) */ };

/* Run a text through a session (sequence 0 is used up) and collect. Documents and pieces as cut_perplexity has them. */
enum cut_status cut_imatrix_collect(struct cut_imatrix **out, struct cut_session *s, const char *text,
                                    const struct cut_imatrix_opts *o, cut_progress_fn progress, void *user, struct cut_err *err);
/* llama.cpp's GGUF format; reading takes its older .dat, too. */
enum cut_status cut_imatrix_save(const struct cut_imatrix *m, const char *path, struct cut_err *err);
enum cut_status cut_imatrix_load(struct cut_imatrix **out, const char *path, struct cut_err *err);
void cut_imatrix_free(struct cut_imatrix *m);
void cut_imatrix_about(const struct cut_imatrix *m, struct cut_imatrix_info *out);
const struct cut_imatrix_entry *cut_imatrix_at(const struct cut_imatrix *m, int i);              /* in order of name; NULL: out of range */
const struct cut_imatrix_entry *cut_imatrix_find(const struct cut_imatrix *m, const char *name); /* NULL: none */

/* What an entry shows: of its means, all matrices together. */
struct cut_imatrix_stats {
    double sum, mean, max;
    double top_share;          /* of the sum, held by the largest hundredth of the columns (one at least): 0.01 when all are alike */
    double even;               /* exp(entropy) / columns: 1 when all are alike, 1 / columns when one has everything */
    int n_top, top[8];         /* the largest columns, largest first */
};
void cut_imatrix_stats(const struct cut_imatrix_entry *e, struct cut_imatrix_stats *out);
/* What it would change: the error of the tensor (its first matrix) in another format as its inputs weigh it, sqrt(sum w (x - y)^2 /
 * sum w x^2), over `rows` rows spread evenly; error[0] encoded without the importance, error[1] with it. CUT_EUSAGE: other columns, or the
 * tensor cannot be stored so. */
enum cut_status cut_imatrix_preview(const struct cut_imatrix_entry *e, const struct cut_tensor_info *t, enum cut_type type, int rows,
                                    double error[2], struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * Measuring damage: what a model loses against a reference of the same vocabulary
 *
 * Two distributions over the vocabulary, from two rows of logits, softmax taken in double by way of log-sum-exp:
 *
 *   KL(p || q) = sum_v p_v (ln p_v - ln q_v)         in nats, p the reference     (Kullback and Leibler 1951)
 */
struct cut_divergence {
    double kl;                 /* of all n tokens; >= 0 up to rounding */
    double logp, logq;         /* ln of what the reference and the model gave the token that came */
    int32_t top_ref, top;      /* the most likely token of each; the lower id where two are equal */
    double p_top_ref, p_top;   /* what each gives its own most likely token */
};
/* ref and x: n logits each. id: the token that came, or -1: then logp and logq are 0. */
void cut_diverge(const float *ref, const float *x, int n, int32_t id, struct cut_divergence *out);

/* The same over many tokens, as llama.cpp's perplexity tool reports it. An error is the standard error of its mean:
 * sqrt((mean of squares - square of mean) / (tokens - 1)). dp is the probability of the token that came, by the model, minus that by the
 * reference. */
struct cut_damage {
    uint64_t tokens;
    double ppl_ref, ppl_ref_error, ppl, ppl_error;
    double ln_ratio, ln_ratio_error;       /* ln(ppl / ppl_ref), paired token by token: the errors they share cancel */
    double kl, kl_error, kl_median, kl_p90, kl_p95, kl_p99, kl_max;    /* nats */
    double same_top, same_top_error;       /* share of tokens, 0 to 1 */
    double dp, dp_error, dp_rms, dp_rms_error;
    uint64_t dp_up, dp_down;               /* tokens that became likelier, less likely: even is noise, a tilt down is damage */
};

/* Perplexity as llama.cpp's tool defines it. The text (a file), with BOS in front, is cut into chunks of `chunk` tokens; what is left over at
 * the end is not used; the first token of each is replaced by BOS. Each is evaluated from an empty cache, and of each the second
 * half is counted: the tokens at chunk / 2 + 1 and after. With a reference the same tokens give a cut_damage: either a second
 * session (of a model with the same vocabulary, lent the same pool), or a file that an earlier run saved. */
struct cut_chunks_opts {
    int chunk;                 /* tokens; 0: 512, or what the context holds if that is less */
    int max_chunks;            /* 0: all */
    struct cut_session *ref;   /* NULL: none */
    const char *ref_file;      /* saved logits; NULL: none */
    const char *save;          /* save this model's logits there, F32 as they are, 4 n_vocab bytes a token; NULL: do not */
    float *kl;                 /* filled with the KL of each token counted, at most n_kl of them; NULL: they are not kept */
    size_t n_kl;
};
struct cut_chunks_result {
    double perplexity, error;  /* exp of the mean of -ln p, and its standard error */
    uint64_t tokens;           /* counted */
    int chunks;
    struct cut_damage damage;  /* against the reference; damage.tokens is 0 without one */
};
enum cut_status cut_perplexity_chunks(struct cut_session *s, const char *text, const struct cut_chunks_opts *o, cut_progress_fn progress,
                                      void *user, struct cut_chunks_result *out, struct cut_err *err);

/* ---- lockstep: two to four builds of a model decode one prompt together
 *
 * Build 0 is the reference. In each step every build evaluates the same token, the reference's last one ("teacher forced"); what
 * they then predict is compared over the whole vocabulary, the reference's sampler chooses the next token, and it is appended to the
 * text with the comparison. Each build's own sampler (same options, same seed: common random numbers) chooses too. Where
 * that choice first differs from the reference's, the build has diverged: from there on it also decodes a text of its own, on a
 * sequence forked from the common one, which shares its cells. Up to there its free text is the reference's, so the two together are
 * what the build writes by itself. Nothing is kept of the logits: there is no logits file. */
enum { CUT_LOCKSTEP_MAX = 4 };
struct cut_lockstep;
struct cut_lockstep_opts {
    int n_predict;             /* tokens to generate after the prompt; 0: 64 */
    int n_batch;               /* tokens of the prompt evaluated in one step; 0: 16 */
    struct cut_sampler_opts sampler;   /* all zero is greedy with top_p 0, which is refused: start from cut_sampler_defaults */
    bool own_seeds;            /* build i draws with seed + i instead of the same seed */
    enum cut_type kv_type;     /* CUT_F16 or CUT_F32 */
    enum cut_tier tier;
    bool activations_f32;
    struct cut_pool *pool;     /* borrowed, lent to the builds in turn; NULL: the calling thread alone */
};
/* The builds must outlive the lockstep, have the same vocabulary and, for the layer errors, the same shape. The prompt has at least one
 * token. All memory is allocated here, except what the first call of cut_lockstep_layers needs. */
enum cut_status cut_lockstep_new(struct cut_lockstep **out, const struct cut_model *const *build, int n_builds, const int32_t *prompt,
                                 int n_prompt, const struct cut_lockstep_opts *o, struct cut_err *err);
void cut_lockstep_free(struct cut_lockstep *l);
/* One more token for all builds and their forks (while the prompt lasts: n_batch tokens of it). *done: the reference has reached an end
 * token or n_predict, and every fork likewise; then nothing more happens. CUT_ECANCEL: cut_lockstep_cancel; the step is taken up again
 * by the next call. */
enum cut_status cut_lockstep_step(struct cut_lockstep *l, bool *done, struct cut_err *err);
/* Ask a step, or cut_lockstep_layers, to stop. From any thread. A request stays until it has stopped one call. */
void cut_lockstep_cancel(struct cut_lockstep *l);

int cut_lockstep_builds(const struct cut_lockstep *l);
/* A build's session, to look at its counters and memory. Sequence 0 is the common text, 1 the fork, 2 is scratch. Do not run it. */
const struct cut_session *cut_lockstep_session(const struct cut_lockstep *l, int build);
/* The reference's text, prompt first; the last token is not evaluated yet. Borrowed until the next step. *n_prompt may be NULL. */
const int32_t *cut_lockstep_text(const struct cut_lockstep *l, int *n, int *n_prompt);

/* What a build made of token i of that text before it came. */
struct cut_lock_token {
    bool scored;               /* false: the first token, which nothing predicts, and tokens still ahead */
    float kl;                  /* KL(reference || build), nats; 0 for the reference */
    float p_ref, p;            /* what the reference and this build gave token i */
    int32_t top_ref, top;      /* their most likely tokens, and what each gave its own */
    float p_top_ref, p_top;
    int32_t choice;            /* what this build's sampler would have gone on with; -1: inside the prompt */
};
/* NULL: out of range. Borrowed until the lockstep is freed. */
const struct cut_lock_token *cut_lockstep_token(const struct cut_lockstep *l, int build, int i);
/* The first i at which the build chose another token than the reference; -1: none so far. */
int cut_lockstep_diverged(const struct cut_lockstep *l, int build);
/* The build's own tokens from there on; *n = 0 while it has not diverged. *ended: it came to an end token. Borrowed until the next step. */
const int32_t *cut_lockstep_fork(const struct cut_lockstep *l, int build, int *n, bool *ended);

struct cut_lock_build {
    struct cut_damage damage;  /* over the tokens scored so far, prompt included */
    uint64_t bytes;            /* of weights */
    double bits;               /* per weight, vectors included */
    double decode_s;           /* time in passes of a single teacher-forced token, and how many there were */
    int decoded;
    double tps;                /* decoded / decode_s; 0: none yet */
    struct cut_counters counters;
};
void cut_lockstep_summary(const struct cut_lockstep *l, int build, struct cut_lock_build *out);

/* Where the error enters: |x - y| / |x| (L2 over the dimensions) of the residual stream after each layer, x the reference's, for
 * token i of the text, which must be evaluated (i < n - 1). The token is evaluated once more by the reference and by the build,
 * unfused, on a scratch fork; the texts are not disturbed. error: n_layer floats. *first: the first layer above the threshold; -1: none.
 * Costs about two decode steps, and little when the same token of the reference is asked for again. CUT_EUSAGE: the shapes differ. */
enum cut_status cut_lockstep_layers(struct cut_lockstep *l, int build, int i, float threshold, float *error, int *first,
                                    struct cut_err *err);

/* The first step, in the order of the reference's listing, whose value for token i is further from the reference's than the threshold:
 * |x - y| / |x| over the whole value. Steps that only one of them has (rounded activations) are passed over. name "": none is.
 * Costs as cut_lockstep_layers; the same refusals. */
struct cut_lockstep_op { char name[64]; float error; };
enum cut_status cut_lockstep_first(struct cut_lockstep *l, int build, int i, float threshold, struct cut_lockstep_op *out,
                                   struct cut_err *err);

/* ---- weights, before and after */

/* How far a tensor's weights moved: a the original, b the same tensor in another format. rms are over the whole tensor; the
 * percentiles are of |a - b| / (rms of a's row), to 1 %. */
struct cut_weight_error {
    double rms, rmse, max;     /* rms of a; root mean square and largest |a - b| */
    double relative;           /* rmse / rms */
    double p50, p90, p99, p999;
    uint64_t worst_row, worst_col;     /* where max is */
    uint64_t zeros;            /* weights that were not 0 and became 0 */
};
/* CUT_EUSAGE: the shapes differ. The pool may be NULL. */
enum cut_status cut_weight_error(const struct cut_tensor_info *a, const struct cut_tensor_info *b, struct cut_pool *pool,
                                 struct cut_weight_error *out, struct cut_err *err);

/* Anatomy of a group of 32 neighbours of a row, of which one set the scale. */
struct cut_outlier {
    uint64_t block;            /* the block of b's format it stands in, counted through the rows */
    uint64_t row, col;         /* of its first weight */
    int at;                    /* which of the 32 is the largest */
    float value;               /* that weight */
    float ratio;               /* |value| / rms of the group, at most sqrt(32) */
    int zeros;                 /* of the others, how many became 0 and were not */
    float rmse, rmse_without;  /* error of the others: as they are, and encoded again with the outlier set to 0 */
};
/* The n groups with most zeros, worst first (where equal: the larger ratio); *n becomes how many there are. rmse_without is computed
 * where b's format can be encoded, else it equals rmse. */
enum cut_status cut_outliers(const struct cut_tensor_info *a, const struct cut_tensor_info *b, struct cut_pool *pool,
                             struct cut_outlier *out, int *n, struct cut_err *err);
/* The same for one group, the g-th of the tensor. */
enum cut_status cut_outlier_at(const struct cut_tensor_info *a, const struct cut_tensor_info *b, uint64_t g, struct cut_outlier *out,
                               struct cut_err *err);

/* ---- sensitivity: which tensor hurts
 *
 * One tensor at a time is put into another format, the rest stays as it is, and the mean KL to the untouched model over the tokens of a
 * text is measured. The reference's logits are kept in memory (n_tokens * n_vocab floats). Results are cached. */
struct cut_sens;
struct cut_sens_opts {
    int max_tokens;            /* of the text; 0: 64 */
    enum cut_tier tier;
    struct cut_pool *pool;     /* borrowed; NULL: the calling thread alone */
};
struct cut_sens_row {
    const char *tensor;
    enum cut_type from, to;
    uint64_t bytes_from, bytes_to;
    bool fits;                 /* false: the tensor cannot be stored so (a vector, or rows of another multiple); nothing below counts */
    bool measured;
    double rel_rmse;           /* of the weights: cut_weight_error.relative */
    double out_error;          /* |(W - W') x| / |W x| over real activations x of the text's last tokens (embeddings: over their rows) */
    double kl;                 /* mean, nats */
    double kl_per_mb;          /* kl / MB (1e6 bytes) saved; 0 where nothing is saved */
    double seconds;            /* that measuring it took */
};
/* Evaluates the text, n tokens of which the first max_tokens count, once. The model must outlive it. */
enum cut_status cut_sens_new(struct cut_sens **out, const struct cut_model *m, const int32_t *ids, int n, const struct cut_sens_opts *o,
                             struct cut_err *err);
void cut_sens_free(struct cut_sens *s);
int cut_sens_tensors(const struct cut_sens *s);            /* those of the file, in its order */
/* What is known of tensor i in a format; measured is false where nothing is. Costs nothing. */
void cut_sens_get(const struct cut_sens *s, int i, enum cut_type type, struct cut_sens_row *out);
/* The same, measured now if it is not yet. */
enum cut_status cut_sens_measure(struct cut_sens *s, int i, enum cut_type type, struct cut_sens_row *out, struct cut_err *err);
/* The iterator: measure the next tensor that fits this format and is not measured in it, the largest first. *i is which; -1: all are. */
enum cut_status cut_sens_next(struct cut_sens *s, enum cut_type type, int *i, struct cut_err *err);
/* How many tensors are left to measure in a format, and about how long they will take; seconds is -1 before the first. */
int cut_sens_left(const struct cut_sens *s, enum cut_type type, double *seconds);
/* Mean KL and weight bytes of any mix of formats, measured. */
enum cut_status cut_sens_mix(struct cut_sens *s, cut_type_fn choose, void *user, double *kl, uint64_t *bytes, struct cut_err *err);
/* Stop the call under way, from any thread. A request stays until it has stopped one call. */
void cut_sens_cancel(struct cut_sens *s);

/* A recipe: all tensors in a low format, then one after the other raised to a better one, each time the choice that saves most KL for a
 * byte, as long as it fits the budget. What a choice saves is taken from the single-tensor measurements, as if they added up; cut_sens_mix
 * measures what it really gives. */
struct cut_recipe_step {
    int tensor;                /* for cut_sens_get */
    const char *name;
    enum cut_type from, to;
    int64_t more;              /* bytes; below 0 where the better format is also smaller */
    double saves;              /* nats */
    uint64_t size;             /* of all weights, after this step: never above the budget */
    double kl;                 /* expected after it */
};
/* better: formats to choose from, n_better of them. step: room for cap steps; *n: how many were chosen; *size and *kl (may be NULL): before
 * the first. Measures what is not measured yet. CUT_EUSAGE: the budget does not even hold the low format. */
enum cut_status cut_recipe(struct cut_sens *s, enum cut_type low, const enum cut_type *better, int n_better, uint64_t budget,
                           struct cut_recipe_step *step, int cap, int *n, uint64_t *size, double *kl, cut_progress_fn progress,
                           void *user, struct cut_err *err);
/* The recipe as options of `cutaway quantize` and llama.cpp's tool, "--tensor-type blk.21.ffn_down.weight=q8_0", a line each; later steps
 * of the same tensor replace earlier ones. Returns the length, as snprintf does; writes at most cap bytes, terminated. */
size_t cut_recipe_text(const struct cut_recipe_step *step, int n, char *out, size_t cap);

/* ---- compare: several builds over one text */
struct cut_compare_opts {
    struct cut_chunks_opts text;   /* chunk and max_chunks count */
    struct cut_bench_opts bench;   /* r = 0: no speeds */
    int kl_points;                 /* tokens whose KL is kept for the plot */
    enum cut_tier tier;
    struct cut_pool *pool;
};
struct cut_compare_row {
    uint64_t bytes;            /* of weights */
    double bits;               /* per weight */
    struct cut_chunks_result text;     /* against the first build */
    double prefill_tps, decode_tps;    /* 0: not measured */
    float *kl;                 /* the caller's, room for kl_points tokens; NULL: not wanted */
    int n_kl;                  /* filled in */
};
/* One build against the reference (NULL: this is the reference). row->kl is set by the caller; the rest is filled. */
enum cut_status cut_compare(const struct cut_model *ref, const struct cut_model *m, const char *text, const struct cut_compare_opts *o,
                            cut_progress_fn progress, void *user, struct cut_compare_row *row, struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * Training
 *
 * From text to a vocabulary, from a vocabulary to a model with random weights, from that to one that has learnt. The
 * trainer differentiates the model's own graph, so any architecture whose operations it knows can be trained, and any
 * model file of such an architecture trained further.
 */

/* Learn a vocabulary of `size` tokens: <unk>, <s>, </s>, the given control tokens, 256 bytes, printable ASCII, then pieces found by
 * byte-pair merging (Sennrich et al. 2016) in the order found, scores falling. Written to `out` as a GGUF without weights. */
struct cut_vocab_train_opts {
    int size;
    const char *const *control;        /* further control tokens: "<|user|>" */
    int n_control;
    const char *end;                   /* the one of them that ends a turn; NULL: none */
    const char *chat_template;         /* for tokenizer.chat_template; NULL: none */
};
struct cut_vocab_train_stats { uint64_t bytes, words, distinct; int merges; double bytes_per_token; };
enum cut_status cut_vocab_train(const char *text, const char *out, const struct cut_vocab_train_opts *o,
                                cut_progress_fn progress, void *user, struct cut_vocab_train_stats *stats,
                                struct cut_err *err);

/* Write a new Llama model in F32 with the vocabulary of another GGUF file. Its weights are random (seed), but for those that the
 * model `from` (NULL: none) has under the same name and in the same shape: a smaller model can start from the first layers of a
 * larger one. Embeddings are tied. */
struct cut_train_shape { int dim, layers, heads, kv_heads, head_dim, ffn, ctx; float rope_base; };    /* head_dim 0: dim / heads */
enum cut_status cut_train_init(const char *path, const char *name, const char *vocab, const char *from,
                               const struct cut_train_shape *shape, uint64_t seed, struct cut_err *err);

struct cut_trainer;
struct cut_train_opts {
    int steps;                 /* of the whole run: what the schedule is laid out for */
    int batch;                 /* tokens in a step, a multiple of 512 */
    int warmup;                /* steps in which the learning rate rises to lr; it then falls to lr_end */
    float lr, lr_end, beta1, beta2, decay, clip;
    float repeats, repeats_end;    /* share of batches that are random lists said again, at the start and at the end */
    uint64_t seed;
    bool f32;                  /* no products in bfloat16, even where the processor has them */
    struct cut_pool *pool;     /* borrowed; NULL: the calling thread alone */
};
extern const struct cut_train_opts cut_train_defaults;
/* Read the training text (documents start with the text of BOS, "<s>"; without any, it is one long text). The model is
 * borrowed; its weights are where the training starts. */
enum cut_status cut_trainer_new(struct cut_trainer **out, const struct cut_model *m, const char *text,
                                const struct cut_train_opts *o, struct cut_err *err);
void cut_trainer_free(struct cut_trainer *t);
struct cut_train_data { uint64_t documents, tokens, cut; int longest, tensors; uint64_t params; const char *products, *kernels; };
void cut_trainer_data(const struct cut_trainer *t, struct cut_train_data *out);
int cut_trainer_step_count(const struct cut_trainer *t);       /* made so far, in earlier runs too */

struct cut_train_report { int step; double loss, norm, lr; int tokens; double seconds; };   /* loss: nats per token, before the step */
enum cut_status cut_trainer_step(struct cut_trainer *t, struct cut_train_report *out, struct cut_err *err);
/* Mean loss over the documents of another text. */
enum cut_status cut_trainer_measure(struct cut_trainer *t, const char *text, double *loss, uint64_t *tokens, struct cut_err *err);

/* A checkpoint: all that is needed to go on. Both are written whole, then renamed. */
enum cut_status cut_trainer_save(struct cut_trainer *t, const char *path, struct cut_err *err);
/* same_text: the checkpoint was made with this training text. On failure nothing has changed. */
enum cut_status cut_trainer_resume(struct cut_trainer *t, const char *path, bool *same_text, struct cut_err *err);
/* The model as it stands, matrices in F16. */
enum cut_status cut_trainer_export(struct cut_trainer *t, const char *path, struct cut_err *err);

/* ---------------------------------------------------------------------------------------------------------------
 * JSON text, written to a stream with two-space indentation. Strings are escaped; bytes that are not UTF-8 become U+FFFD;
 * numbers that are not finite become null. To keep an array on one line, set inline_ after opening it and clear it
 * after closing it.
 */
struct cut_json { FILE *f; int depth; bool first, inline_; };
void cut_json_init(struct cut_json *j, FILE *f);
void cut_json_open(struct cut_json *j, const char *key, char bracket);   /* key NULL in arrays; bracket '{' or '[' */
void cut_json_close(struct cut_json *j, char bracket);                   /* '}' or ']' */
void cut_json_str(struct cut_json *j, const char *key, const char *s, size_t len);
void cut_json_int(struct cut_json *j, const char *key, int64_t v);
void cut_json_uint(struct cut_json *j, const char *key, uint64_t v);
void cut_json_num(struct cut_json *j, const char *key, double v);
void cut_json_bool(struct cut_json *j, const char *key, bool v);

#ifdef __cplusplus
}
#endif
#endif
