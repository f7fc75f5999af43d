/* test.h - the smallest harness that serves: TEST registers, CHECK reports and goes on, SKIP ends a test.
 *
 * Our own and not a library's, because the same tests are cross-compiled and run under qemu, where nothing but libc is
 * at hand. Run a program of tests with a word to run only the tests whose name contains it. */
#ifndef CUT_TEST_H
#define CUT_TEST_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cutaway.h"

struct test { const char *name; void (*run)(void); struct test *next; };
void test_register(struct test *t);
void test_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same, with the condition that failed in front: apart from the format, since it may hold a %. */
void test_check(const char *file, int line, const char *cond, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A path below ../shared (the golden data), or NULL when the file is not there. Never written to. */
const char *test_shared(const char *path);
/* A path for a scratch file below the build's test folder. */
const char *test_tmp(const char *name);
void *test_read(const char *path, size_t *size);   /* the whole file, malloc'd; NULL when absent */

#define TEST(name)                                                                   \
    static void test_##name(void);                                                   \
    static struct test entry_##name = { #name, test_##name, NULL };                  \
    __attribute__((constructor)) static void reg_##name(void) { test_register(&entry_##name); } \
    static void test_##name(void)

#define CHECK(cond, ...) do { if (!(cond)) test_check(__FILE__, __LINE__, #cond, " " __VA_ARGS__); } while (0)
#define REQUIRE(cond, ...) do { if (!(cond)) { test_check(__FILE__, __LINE__, #cond, " " __VA_ARGS__); return; } } while (0)
#define SKIP(...) do { test_skip(__VA_ARGS__); return; } while (0)
/* For tests that take minutes under an emulator and show nothing there that others do not. */
#define SKIP_EMULATED() do { if (getenv("CUT_EMULATED")) SKIP("takes minutes under an emulator"); } while (0)
/* For tests of how good a result is: the numbers are the same with sanitizers or reference kernels, minutes later, and other tests run
 * the code. */
#if defined(__SANITIZE_ADDRESS__) || defined(CUT_REF_ONLY)
#define SKIP_SLOW_BUILD() SKIP("takes minutes in this build")
#else
#define SKIP_SLOW_BUILD() ((void)0)
#endif

#endif
