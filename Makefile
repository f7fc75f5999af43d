# make        build build/cutaway             make run        install what is missing, build, open the workbench
# make test   install, build, run the tests   make test-all   and those that need clang, a cross compiler, qemu, valgrind
# make asan   build and test with sanitizers  make fuzz-gguf  fuzz the file reader (SECONDS=60)
# make lint   who may include whom            make install    PREFIX=/usr/local, DESTDIR=
# Variables: CC, B (build folder), OPT (-O2), EXTRA (more flags), CUDA=1

CC     ?= gcc
ifeq ($(origin CC),default)
CC     := gcc
endif
B      ?= build
OPT    ?= -O2
PREFIX ?= /usr/local
PKG    := pkg-config

MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
WARN    := -Wall -Wextra
CFLAGS   = -std=c11 -D_DEFAULT_SOURCE $(OPT) -g $(WARN) -ffp-contract=off -fno-strict-aliasing -pthread -I. -MMD -MP $(EXTRA)
LDLIBS   = -lm -pthread

# ---- sources: the folders say what belongs where

ENGINE := $(filter-out engine/kernels/avx% engine/kernels/neon.c,$(sort $(wildcard engine/*/*.c)))
ifneq ($(filter x86_64% amd64%,$(MACHINE)),)
ENGINE += engine/kernels/avx2.c engine/kernels/avx512.c engine/kernels/avx512_vnni.c
endif
ifneq ($(filter aarch64% arm64%,$(MACHINE)),)
ENGINE += engine/kernels/neon.c
endif
ENGINE := $(wildcard $(ENGINE))
LUA    := $(sort $(wildcard lua/*.c))
TUI    := $(sort $(wildcard tui/*.c tui/cli/*.c tui/screen/*.c tui/view/*.c))

$(B)/engine/kernels/avx2.o:        CFLAGS += -O3 -mavx2 -mfma -mf16c
$(B)/engine/kernels/avx512.o:      CFLAGS += -O3 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq
$(B)/engine/kernels/avx512_vnni.o: CFLAGS += -O3 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni
$(B)/engine/kernels/neon.o:        CFLAGS += -O3

CURSES_C = $(shell $(PKG) --cflags ncursesw 2>/dev/null)
CURSES_L = $(shell $(PKG) --libs ncursesw 2>/dev/null)
LUA_C    = $(shell $(PKG) --cflags lua5.4 2>/dev/null)
LUA_L    = $(shell $(PKG) --libs lua5.4 2>/dev/null)
$(B)/tui/screen/term_curses.o: CFLAGS += $(CURSES_C)
$(LUA:%.c=$(B)/%.o) $(TUI:%.c=$(B)/%.o) $(B)/tests/lua/%.o: CFLAGS += $(LUA_C)

.PHONY: all run test test-all asan lint install clean deps need engine fuzz-gguf aarch64
.DEFAULT_GOAL := all

all: need $(B)/cutaway models
engine: $(B)/libcutaway.a

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(B)/libcutaway.a: $(ENGINE:%.c=$(B)/%.o)
	@rm -f $@
	ar rcs $@ $^

$(B)/cutaway: $(TUI:%.c=$(B)/%.o) $(LUA:%.c=$(B)/%.o) $(B)/libcutaway.a
	$(CC) $(CFLAGS) -o $@ $^ $(CURSES_L) $(LUA_L) $(LDLIBS)

# ---- tests: one program for what the engine does, one for the faces

TEST_ENGINE := tests/test.c $(sort $(wildcard $(addprefix tests/,$(addsuffix /*.c,base gguf quant kernels vocab graph model run sample tools))))
TEST_TUI    := tests/test.c $(sort $(wildcard $(addprefix tests/,$(addsuffix /*.c,lua screen view cli))))

$(B)/test-engine: $(TEST_ENGINE:%.c=$(B)/%.o) $(B)/libcutaway.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(B)/test-tui: $(TEST_TUI:%.c=$(B)/%.o) $(filter-out $(B)/tui/main.o,$(TUI:%.c=$(B)/%.o)) $(LUA:%.c=$(B)/%.o) $(B)/libcutaway.a
	$(CC) $(CFLAGS) -o $@ $^ $(CURSES_L) $(LUA_L) $(LDLIBS)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
