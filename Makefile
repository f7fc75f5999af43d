# make          build build/cutaway           make run        install what is missing, build, open the workbench
# make test     install, build, run the tests make test-all   those that need clang, a cross compiler, qemu or time
# make asan     build and test with ASan and UBSan            make lint     who may include whom
# make install  PREFIX=/usr/local DESTDIR=    make clean      make fuzz-gguf SECONDS=60
# make budget   instructions of the hot kernels make budget-update   keep them as they are now
#
# Variables: CC, B (the build folder), OPT (-O2), EXTRA (more compiler flags), V=1 (show commands), CUDA=1 (the optional backend)

ifeq ($(origin CC),default)
CC := gcc
endif
B       ?= build
OPT     ?= -O2
PREFIX  ?= /usr/local
SECONDS ?= 60
PKG     := pkg-config

ifdef CUDA
$(error CUDA=1: the CUDA backend is not there yet; build without it)
endif

# As many compilers at once as there are processors, unless you said otherwise.
JOBS := $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(shell nproc 2>/dev/null || echo 1))

# A line per file; V=1 shows the commands.
Q   := $(if $(V),,@)
say := @$(if $(V),true,echo)

MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)
CFLAGS   = -std=c11 -D_DEFAULT_SOURCE $(OPT) -g -Wall -Wextra -ffp-contract=off -fno-strict-aliasing -pthread -I. -MMD -MP $(EXTRA)
LDLIBS   = -lm -pthread

# ---- sources: the folders say what belongs where

ENGINE := $(filter-out engine/kernels/avx% engine/kernels/neon%,$(sort $(wildcard engine/*/*.c)))
ifneq ($(filter x86_64% amd64%,$(MACHINE)),)
ENGINE += $(sort $(wildcard engine/kernels/avx*.c))
endif
ifneq ($(filter aarch64% arm64%,$(MACHINE)),)
ENGINE += $(sort $(wildcard engine/kernels/neon*.c))
endif
LUA    := $(sort $(wildcard lua/*.c))
TUI    := $(sort $(wildcard tui/*.c tui/cli/*.c tui/screen/*.c tui/view/*.c))

# A sanitized build, at -O1, stays there: at -O3 its kernels take a quarter of an hour to compile.
FAST   := $(if $(filter -O2,$(OPT)),-O3)
AVX2   := $(FAST) -mavx2 -mfma -mf16c
AVX512 := $(AVX2) -mavx512f -mavx512bw -mavx512vl -mavx512dq
$(B)/engine/kernels/avx2%:        CFLAGS += $(AVX2)
$(B)/engine/kernels/avx512%:      CFLAGS += $(AVX512)
$(B)/engine/kernels/avx512_vnni%: CFLAGS += -mavx512vnni
$(B)/engine/kernels/avx512_bf16%: CFLAGS += -mavx512bf16
$(B)/engine/kernels/neon%:        CFLAGS += $(FAST)

CURSES_C = $(shell $(PKG) --cflags ncursesw 2>/dev/null)
CURSES_L = $(shell $(PKG) --libs ncursesw 2>/dev/null)
LUA_C    = $(shell $(PKG) --cflags lua5.4 2>/dev/null)
LUA_L    = $(shell $(PKG) --libs lua5.4 2>/dev/null)
$(B)/tui/screen/term_curses.o: CFLAGS += $(CURSES_C)
$(LUA:%.c=$(B)/%.o) $(TUI:%.c=$(B)/%.o) $(B)/tests/lua/%.o: CFLAGS += $(LUA_C)

.PHONY: all engine models run test test-all asan lint install clean deps need fuzz-gguf budget budget-update
.DEFAULT_GOAL := all

all: $(B)/cutaway models
engine: $(B)/libcutaway.a

$(B)/%.o: %.c Makefile | need
	@mkdir -p $(@D)
	$(say) "  CC   $<"
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

# These carry other files inside them.
$(B)/engine/run/source.o: engine/kernels/ref.c engine/model/llama.c engine/run/pass.c engine/quant/decode.c engine/quant/unpack.c
$(B)/lua/prelude.o: $(wildcard lua/prelude/*.lua)

$(B)/libcutaway.a: $(ENGINE:%.c=$(B)/%.o)
	@rm -f $@
	$(say) "  AR   $@"
	$(Q)ar rcs $@ $^

$(B)/cutaway: $(TUI:%.c=$(B)/%.o) $(LUA:%.c=$(B)/%.o) $(B)/libcutaway.a
	$(say) "  LINK $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(CURSES_L) $(LUA_L) $(LDLIBS)

# ---- the bundled models, beside the program as they are when it is installed

MODELS := $(B)/models/pebble.gguf $(B)/models/pebble-draft.gguf
models: $(MODELS)
$(B)/models/%.gguf: assets/%.gguf
	@mkdir -p $(@D)
	$(say) "  COPY $@"
	$(Q)cp $< $@

# ---- what must be on the machine

need:
	@command -v $(CC) >/dev/null || { echo "cutaway: no C compiler ($(CC)): apt-get install gcc libc6-dev" >&2; exit 1; }
	@command -v $(PKG) >/dev/null || { echo "cutaway: no pkg-config: apt-get install pkg-config" >&2; exit 1; }
	@$(PKG) --exists ncursesw || { echo "cutaway: no ncurses headers: apt-get install libncurses-dev" >&2; exit 1; }
	@$(PKG) --exists lua5.4 || { echo "cutaway: no Lua 5.4 headers: apt-get install liblua5.4-dev" >&2; exit 1; }

deps:
	@sh tests/deps.sh build

run: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@$(B)/cutaway

# ---- tests: one program for what the engine does, one for the faces, scripts for the command line

TEST_ENGINE := tests/test.c $(sort $(wildcard $(addprefix tests/,$(addsuffix /*.c,base gguf quant kernels vocab graph model run sample tools train))))
TEST_TUI    := tests/test.c $(sort $(wildcard $(addprefix tests/,$(addsuffix /*.c,lua screen view cli))))

$(B)/test-engine: $(TEST_ENGINE:%.c=$(B)/%.o) $(B)/libcutaway.a
	$(say) "  LINK $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)
$(B)/test-tui: $(TEST_TUI:%.c=$(B)/%.o) $(filter-out $(B)/tui/main.o,$(TUI:%.c=$(B)/%.o)) $(LUA:%.c=$(B)/%.o) $(B)/libcutaway.a
	$(say) "  LINK $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(CURSES_L) $(LUA_L) $(LDLIBS)

# Its allocations go through the test, which makes them fail one after the other.
$(B)/test-oom: $(B)/tests/test.o $(B)/tests/oom.o $(B)/libcutaway.a
	$(say) "  LINK $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free $(LDLIBS)

# One call of each hot kernel, for callgrind to count; it says what it was built with, because the counts depend on that.
$(B)/tests/budget/budget.o: CFLAGS += '-DBUILD_FLAGS="$(strip $(OPT) $(EXTRA))"'
$(B)/budget: $(B)/tests/budget/budget.o $(B)/libcutaway.a
	$(say) "  LINK $@"
	$(Q)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

test: deps
	@$(MAKE) --no-print-directory $(JOBS) all $(B)/test-engine $(B)/test-tui $(B)/test-oom
	@B=$(B) sh tests/run.sh engine oom tui cli
test-all:
	@sh tests/deps.sh test-all
	@B=$(B) MAKE=$(MAKE) sh tests/run.sh lint clang asan reference pages aarch64 installed budget fuzz
asan: deps
	@B=$(B) MAKE=$(MAKE) sh tests/run.sh asan
lint:
	@sh tests/lint.sh
budget: deps
	@B=$(B) MAKE=$(MAKE) sh tests/run.sh budget
budget-update: deps
	@$(MAKE) --no-print-directory $(JOBS) $(B)/budget
	@B=$(B) sh tests/budget/budget.sh update

$(B)/fuzz-gguf: tests/fuzz/gguf_fuzz.c $(ENGINE)
	@mkdir -p $(@D)
	clang -std=c11 -D_DEFAULT_SOURCE -O1 -g -I. -ffp-contract=off -fsanitize=fuzzer,address,undefined -o $@ tests/fuzz/gguf_fuzz.c \
	  $(wildcard engine/base/*.c engine/gguf/*.c engine/quant/*.c) $(LDLIBS)
fuzz-gguf: $(B)/fuzz-gguf
	@mkdir -p $(B)/fuzz-corpus
	$(B)/fuzz-gguf -max_total_time=$(SECONDS) -max_len=65536 -print_final_stats=1 -artifact_prefix=$(B)/ $(B)/fuzz-corpus tests/fuzz/gguf-seeds

# ---- the rest

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/cutaway/models
	install -m 755 $(B)/cutaway $(DESTDIR)$(PREFIX)/bin/cutaway
	install -m 644 $(B)/libcutaway.a $(DESTDIR)$(PREFIX)/lib/libcutaway.a
	install -m 644 engine/cutaway.h $(DESTDIR)$(PREFIX)/include/cutaway.h
	install -m 644 $(MODELS) $(DESTDIR)$(PREFIX)/share/cutaway/models/
	cp -R labs $(DESTDIR)$(PREFIX)/share/cutaway/

clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
