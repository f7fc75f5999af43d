#!/bin/sh
# budget.sh check|update - the instructions of the hot kernels beside those of budget.txt; or write them there.
#
# A clock on a busy machine is off by a third and more; the number of instructions is the same every time. Two ways to see it:
#   ref, avx2             callgrind runs budget.c: instructions executed, by the weight or element
#   avx512, avx512_*      valgrind has no AVX-512: instructions in the hot loops of each function of those objects, by the multiply-add
#                         (loops.awk says which loops those are)
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
here=tests/budget
table=$here/budget.txt
band=3
tmp=$B/tmp/budget-$$
mkdir -p "$tmp"
trap 'rm -rf "$tmp"' EXIT
: > "$tmp/got"; : > "$tmp/skip"; : > "$tmp/fail"

# KERNEL TIER INSTRUCTIONS UNIT, a line for each measurement.
callgrind_counts() {
    LD_BIND_NOW=1 valgrind --tool=callgrind --callgrind-out-file="$tmp/callgrind" --combine-dumps=yes \
        --toggle-collect=measured --dump-after=measured "$B/budget" > "$tmp/work" 2> "$tmp/valgrind.log" ||
        { tail -5 "$tmp/valgrind.log"; return 1; }
    sed -n 's/^totals: //p' "$tmp/callgrind" > "$tmp/totals"
    # One part more than lines: what came after the last measurement, which is nothing.
    [ "$(wc -l < "$tmp/totals")" -eq $(($(wc -l < "$tmp/work") + 1)) ] || { echo "callgrind wrote $(wc -l < "$tmp/totals") parts"; return 1; }
    awk 'NR == FNR { total[NR] = $1; next } { printf "%s %s %.4g %s\n", $1, $2, total[FNR] / $3, $4 }' "$tmp/totals" "$tmp/work"
}
loop_counts() { # OBJECT, and its tier
    objdump -d --no-show-raw-insn "$B/engine/kernels/$1.o" > "$tmp/$1.s" 2> "$tmp/objdump.log" || { cat "$tmp/objdump.log"; return 1; }
    awk -f $here/loops.awk "$tmp/$1.s" | awk -v tier="${1%_panel}" '{ printf "%s %s %.4g %s\n", $1, tier, $3 / $4, $2 }'
}
take() { # TIERS COMMAND...: its lines are measurements, or if it fails say why
    tiers=$1; shift
    if "$@" > "$tmp/lines"; then cat "$tmp/lines" >> "$tmp/got"
    else sed "s/^/    /" "$tmp/lines"; echo "$tiers" >> "$tmp/fail"; fi
}
skip() { echo "$1: $2" >> "$tmp/skip"; } # TIERS REASON

skip_all=
built=$([ -x "$B/budget" ] && "$B/budget" --build)
holds=$(sed -n 's/^# built with: //p' $table 2>/dev/null)
case $(uname -m) in x86_64 | amd64) ;; *) skip_all="the table is of x86-64" ;; esac
[ -z "$skip_all" ] && [ "$1" = check ] && [ "$built" != "$holds" ] && skip_all="the table holds for $holds; this is ${built:-no $B/budget}"

if [ -n "$skip_all" ]; then
    skip "ref avx2 avx512 avx512_vnni avx512_bf16" "$skip_all"
else
    if ! command -v valgrind >/dev/null; then skip "ref avx2" "no valgrind: apt-get install valgrind"
    else
        take "ref avx2" callgrind_counts
        grep -q ' avx2 ' "$tmp/got" || grep -q avx2 "$tmp/fail" || skip avx2 "not on this processor"
    fi
    if ! command -v objdump >/dev/null; then skip "avx512 avx512_vnni avx512_bf16" "no objdump: apt-get install binutils"
    else
        take avx512 loop_counts avx512
        take avx512_vnni loop_counts avx512_vnni
        take avx512_vnni loop_counts avx512_vnni_panel
        take avx512_bf16 loop_counts avx512_bf16
    fi
fi

if [ "$1" = update ]; then
    if [ -s "$tmp/skip" ] || [ -s "$tmp/fail" ]; then
        echo "budget: $table is as it was: not everything could be measured" >&2
        sed 's/^/    /' "$tmp/skip" >&2
        exit 1
    fi
    { sed -n 's/^# built with: .*//; t; /^#/p' $table
      echo "# built with: $built"
      awk '{ printf "%-20s %-12s %8s  %s\n", $1, $2, $3, $4 }' "$tmp/got"; } > "$tmp/table" && mv "$tmp/table" $table
    echo "budget: $table: $(wc -l < "$tmp/got") kernels, $built"
    exit
fi

# Both directions fail: what is gained and not written down can be lost again unseen.
awk -v band=$band -v table=$table '
    function test(ok, key, what) {
        name = "budget_" key; gsub(/ /, "_", name)
        if (what != "") print "    " what
        print (ok ? "ok   " : "FAIL ") name
        if (ok) passed++; else failed++
    }
    FILENAME == skips { reason = $0; sub(/^[^:]*: /, "", reason); print "skip budget " $0; sub(/:.*/, ""); skipped++
                        for (i = 1; i <= NF; i++) off[$i] = 1; next }
    FILENAME == fails { test(0, $0 " measured"); for (i = 1; i <= NF; i++) off[$i] = 1; next }
    /^#/ || !NF { next }
    { key = $1 " " $2 " " $4 }
    FILENAME == table { expected[key] = $3; order[++n] = key; next }
    { got[key] = $3; if (!(key in expected)) test(0, key, key ": not in " table ": make budget-update") }
    END {
        for (i = 1; i <= n; i++) {
            key = order[i]; split(key, part, " ")
            if (part[2] in off) continue
            if (!(key in got)) { test(0, key, key ": in " table ", and not there any more: make budget-update"); continue }
            change = 100 * (got[key] / expected[key] - 1)
            if (change >= -band && change <= band) test(1, key, "")
            else {
                advice = change < 0 ? ", fewer: make budget-update keeps the gain" : "; if it is worth that, make budget-update"
                test(0, key, sprintf("%s %s: %s instructions per %s expected, %s got: %+.1f %%%s", part[1], part[2], expected[key], part[3],
                                     got[key], change, advice))
            }
        }
        printf "# %d passed, %d failed, %d skipped\n", passed, failed, skipped
    }' skips="$tmp/skip" fails="$tmp/fail" "$tmp/skip" "$tmp/fail" $table "$tmp/got"
