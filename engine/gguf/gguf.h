/* gguf.h - what the reader and the writer of GGUF share. Internal.
 *
 * The format (ggml's docs/gguf.md), little-endian, nothing aligned before the tensor data:
 *
 *   "GGUF"  u32 version  u64 n_tensors  u64 n_kv
 *   n_kv times:       string key, u32 type, value
 *   n_tensors times:  string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset from the start of the data
 *   zeros up to a multiple of general.alignment (32 unless given), then the tensor data
 *
 *   string: u64 length, bytes          array: u32 element type, u64 count, elements
 *
 * Version 1 has u32 where this says u64, but for tensor offsets and u64 values. */
#ifndef CUT_GGUF_H
#define CUT_GGUF_H

#include "engine/base/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF fields are loaded as they stand, little-endian");

#define CUT_GGUF_ALIGNMENT 32      /* where the file does not say */

/* Bytes of a value of this type; 0 for strings and arrays, which say themselves. */
size_t cut_kv_type_size(enum cut_kv_type type);

/* Compute t->bytes from its type and shape. Returns false, and says what is wrong in `why`, when they make no tensor. */
bool cut_tensor_measure(struct cut_tensor_info *t, char *why, size_t cap);

/* A second tensor table over an open file, to point at other data: its rows are a copy that *table lets the caller change (types and
 * data; names, shapes and order stay). Metadata and everything else is g's, which must outlive it. Close it like any other. */
enum cut_status cut_gguf_view(struct cut_gguf **out, const struct cut_gguf *g, struct cut_tensor_info **table, struct cut_err *err);
/* After rows were changed: their sizes, and the offsets they would have in a file that holds them in this order. */
void cut_gguf_view_settle(struct cut_gguf *view);

/* Bytes of the file's data that nobody is about to read: if they are mapped, their memory may go. They can still be read. */
void cut_gguf_let_go(const struct cut_gguf *g, const void *data, size_t bytes);

static inline uint32_t cut_load_u32(const uint8_t *p) { uint32_t v; memcpy(&v, p, sizeof v); return v; }
static inline uint64_t cut_load_u64(const uint8_t *p) { uint64_t v; memcpy(&v, p, sizeof v); return v; }

#endif
