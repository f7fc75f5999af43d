#!/bin/sh
# run.sh SUITE... - run suites of tests and add up their results.
# A suite prints a line per test ("ok   NAME", "FAIL NAME", "skip NAME") and the totals last: "# P passed, F failed, S skipped".
set -u
B=${B:-build}
MAKE=${MAKE:-make}
JOBS=-j$(nproc 2>/dev/null || echo 1)
export CUT_SHARED=${CUT_SHARED:-$(cd .. && pwd)/shared} CUT_TEST_TMP=$PWD/$B/tmp CUTAWAY=$PWD/$B/cutaway
mkdir -p "$B/tmp"
log=$B/tests-$$.log
: > "$log"
trap 'rm -f "$log"' EXIT

# One test that is a command: its output is shown only if it fails.
attempt() { # NAME COMMAND...
    name=$1; shift
    if "$@" > "$B/attempt.log" 2>&1; then echo "ok   $name"; echo "# 1 passed, 0 failed, 0 skipped"
    else tail -40 "$B/attempt.log" | sed 's/^/    /'; echo "FAIL $name"; echo "# 0 passed, 1 failed, 0 skipped"; fi
}
# A program of tests; one that dies without its totals counts as a failure.
program() { # NAME COMMAND...
    name=$1; shift
    "$@" > "$B/program.log" 2>&1; status=$?
    cat "$B/program.log"
    if ! tail -1 "$B/program.log" | grep -q '^# [0-9]* passed'; then
        echo "FAIL $name ended with status $status and no totals"; echo "# 0 passed, 1 failed, 0 skipped"
    fi
}
quiet() { "$@" && ! grep -E 'warning:' "$B/attempt.log"; }

suite() {
    case $1 in
    engine) program engine "$B/test-engine" ;;
    oom)    program oom "$B/test-oom" ;;
    tui)    program tui "$B/test-tui" ;;
    cli)    for f in tests/cli/*.sh tests/view/*.sh; do [ -e "$f" ] && program "$f" sh "$f"; done ;;
    lint)   attempt lint sh tests/lint.sh ;;
    clang)  attempt clang_without_warnings quiet $MAKE $JOBS B="$B/clang" CC=clang OPT=-O1 "$B/clang/cutaway" "$B/clang/test-engine" "$B/clang/test-tui" ;;
    asan)   san="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
            attempt asan_builds $MAKE $JOBS B="$B/asan" OPT=-O1 EXTRA="$san" "$B/asan/cutaway" "$B/asan/test-engine" "$B/asan/test-tui" models
            CUTAWAY=$PWD/$B/asan/cutaway; export CUTAWAY
            program asan_engine "$B/asan/test-engine"
            program asan_tui "$B/asan/test-tui"
            for f in tests/cli/*.sh; do                    # pebble's abilities are numbers, which are the same here, only later
                [ "$f" = tests/cli/pebble.sh ] || program "asan $f" sh "$f"
            done
            CUTAWAY=$PWD/$B/cutaway ;;
    reference) attempt reference_kernels_only $MAKE $JOBS B="$B/ref" EXTRA=-DCUT_REF_ONLY "$B/ref/test-engine"
            program reference "$B/ref/test-engine" ;;
    pages)  attempt pages_of_4_cells $MAKE $JOBS B="$B/pages" OPT=-O1 EXTRA=-DCUT_KV_PAGE=4 "$B/pages/test-engine"
            program pages "$B/pages/test-engine" step_
            program pages "$B/pages/test-engine" golden_ ;;
    aarch64) attempt aarch64_without_warnings quiet $MAKE $JOBS B="$B/aarch64" CC=aarch64-linux-gnu-gcc EXTRA=-static "$B/aarch64/test-engine"
            qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static)
            program aarch64 env CUT_EMULATED=1 "$qemu" "$B/aarch64/test-engine" ;;
    installed) attempt install_and_run sh -c "rm -rf $B/root && $MAKE install DESTDIR=$PWD/$B/root PREFIX=/usr &&
                 cd / && $PWD/$B/root/usr/bin/cutaway run -p hello -n 4 --temp 0 && $PWD/$B/root/usr/bin/cutaway lab" ;;
    budget) attempt budget_builds $MAKE $JOBS "$B/budget"
            program budget sh tests/budget/budget.sh check ;;
    fuzz)   attempt fuzz_gguf_20_seconds $MAKE fuzz-gguf SECONDS=20 ;;
    *)      echo "run.sh: no suite $1"; echo "# 0 passed, 1 failed, 0 skipped" ;;
    esac
}

for s in "$@"; do echo "== $s"; suite "$s"; done 2>&1 | tee -a "$log"

awk '/^# [0-9]+ passed, [0-9]+ failed/ { p += $2; f += $4; s += $6 }
     END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$log"
