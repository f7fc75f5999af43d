/* unroll.h - in front of a loop over an array of vectors: unroll it, whole. Internal.
 *
 * Such arrays are registers only where every index is known to the compiler; a loop that stays one puts them into memory. */
#ifndef CUT_UNROLL_H
#define CUT_UNROLL_H

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

#endif
