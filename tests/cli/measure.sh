# What measures: bench over lists, the machine's peaks, ops, gate, profile.
. "$(dirname "$0")/common.inc"
model=$(tiny)

# ---- bench

exits "bench: a row for each combination" 0 "Medians of 2 rounds" bench "$model" -p 8,16 -n 4 -t 1,2 -r 2
same "bench: p and n go side by side" "$(printf '%s\n' "$out" | grep -c "^[a-z0-9]*  *[12]  *1  *0 ")" 4
"$CUTAWAY" bench "$model" -p 8 -n 4 -t 1 --sequences 1,3 --depth 0,5 -r 2 -o json >"$tmp/json"
same "bench: several are an array" "$(head -c 1 "$tmp/json")$(grep -c '"sequences": 3' "$tmp/json")$(grep -c '"depth": 5' "$tmp/json")" "[22"
"$CUTAWAY" bench "$model" -p 8 -n 4 -t 1,2 -r 2 -o csv >"$tmp/csv"
same "bench: CSV has as many fields as its head" "$(awk -F, '{ print NF }' "$tmp/csv" | sort -u)" 16
exits "bench: Markdown" 0 "| prefill 8 |" bench "$model" -p 8 -n 0 -r 1 -o markdown
exits "bench: no such format" 1 "-o xml: must be one of table|json|csv|markdown" bench "$model" -o xml
exits "bench: not a list" 1 "-p 8,,9: not a whole number" bench "$model" -p 8,,9
exits "bench: -t 0" 1 "-t 1,0: must be at least 1" bench "$model" -t 1,0
exits "bench: too many numbers" 1 "at most 16 numbers" bench "$model" -p 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
exits "bench: --depth without room for it is no question: the context follows" 0 "median" bench "$model" -p 0 -n 2 -d 30 -r 1
exits "bench: depths beside what depth 0 lets expect" 0 "time  limit" bench "$model" -p 8 -n 4 -t 1 -d 0,40 -r 2
same "bench: one of two depths can be predicted" "$(printf '%s\n' "$out" | grep -cE '(bytes|flops)$')" 1
for how in auto never always; do exits "bench: --repack $how" 0 "median" bench "$model" -p 4 -n 2 -t 1 -r 1 --repack $how; done
for how in rows split-k; do exits "bench: --reduce $how" 0 "median" bench "$model" -p 4 -n 2 -t 2 -r 1 --reduce $how; done
exits "bench: --reduce sums" 1 "must be one of rows|split-k" bench "$model" --reduce sums
exits "bench: split-k reads rows" 1 "repack always leaves no rows" bench "$model" --reduce split-k --repack always -p 4 -n 2 -r 1
exits "bench: --repack sometimes" 1 "sometimes" bench "$model" --repack sometimes
exits "bench: kernels and files" 0 "kernels  threads" bench "$model" "$model" --kernels ref,auto -p 8 -n 4 -t 1 -r 2
same "bench: both of both" "$(printf '%s\n' "$out" | grep -c '^ref ')$(printf '%s\n' "$out" | grep -c '^tiny.*parameters')" 22
exits "bench: all kernels" 0 "ref" bench "$model" --kernels all -p 8 -n 0 -t 1 -r 1
exits "bench: unknown kernels" 1 '"sse": not one of' bench "$model" --kernels ref,sse
exits "bench: no kernels" 1 'not one of' bench "$model" --kernels ''
exits "bench: on one processor" 0 "threads 2" bench "$model" --cpus 0 -p 8 -n 4 -t 2 -r 1
exits "bench: on none there is" 1 "processor 1023" bench "$model" --cpus 1023 -p 8 -n 4 -r 1
exits "peaks" 0 "read" bench --peaks -t 1
same "peaks: floats and bytes" "$(printf '%s\n' "$out" | grep -c "^f32\|^int8\|^bf16")" "$(printf '%s\n' "$out" | grep -c 'Gop/s')"
exits "peaks as CSV" 0 "kind,tier,instruction,threads,rate,median" bench --peaks -t 1 -o csv
exits "peaks of a model" 1 "--peaks measures the machine" bench "$model" --peaks

# ---- ops

exits "ops: a demo" 0 "SIMD kernel" ops matmul --size 32 --seconds 0.001
exits "ops: several" 0 "steps after fusion" ops norm graph --size 32 --seconds 0.001
exits "ops: no such demo" 1 '"dance" is no demo' ops dance
exits "ops: an odd size" 1 "--size 33: must be a multiple of 32" ops norm --size 33
"$CUTAWAY" ops attention --size 32 --seconds 0.001 --json >"$tmp/json"
same "ops: JSON" "$(grep -c '"gflops"' "$tmp/json")" 4
timeout --preserve-status -k 10 -s INT 1 "$CUTAWAY" ops norm --seconds 60 >/dev/null 2>&1
[ $? = 130 ] && ok "ops: Ctrl-C" || skip "ops: Ctrl-C came at another moment"

# ---- gate

printf 'a b c d e f g a b c d e f g\n' >"$tmp/text"
gate="gate $model --text $tmp/text -p 8 -n 4 -t 1"
exits "gate: nothing to compare with" 1 "give a file to compare with" gate "$model"
exits "gate: the first time writes the baseline" 0 "the baseline is written" $gate --baseline "$tmp/base"
holds "gate: what a baseline holds" "$tmp/base" "^perplexity: "
exits "gate: the same again passes" 0 "The gate is open." $gate --baseline "$tmp/base" --max-slower 99
sed 's/^perplexity: .*/perplexity: 2/' "$tmp/base" >"$tmp/better"
exits "gate: a regression of perplexity fails" 1 "WORSE" $gate --baseline "$tmp/better" --max-slower 99
sed 's/^decode: .*/decode: 9e8 9e8 9e8 9e8 9e8/' "$tmp/base" >"$tmp/faster"
exits "gate: a regression of speed fails" 1 "The gate is closed." $gate --baseline "$tmp/faster"
"$CUTAWAY" $gate --baseline "$tmp/faster" --json >"$tmp/json"
same "gate: JSON and exit status" "$?$(grep -c '"passed": false' "$tmp/json")" 11
exits "gate: CSV" 0 "what,before,now,change" $gate --baseline "$tmp/base" --max-slower 99 --csv
exits "gate: another number of threads is another thing" 1 "threads" $gate -t 2 --baseline "$tmp/base"
echo "nonsense" >"$tmp/broken"
exits "gate: a broken baseline" 2 'line 1: "nonsense" is not' $gate --baseline "$tmp/broken"
exits "gate: --watch begins a history" 0 "now" $gate --watch "$tmp/history" --max-slower 99
exits "gate: and goes on" 0 "what was usual" $gate --watch "$tmp/history" --max-slower 99
same "gate: a record each" "$(grep -c -- '^---' "$tmp/history")" 2
sed -i 's/^perplexity: .*/perplexity: 2/' "$tmp/history"
exits "gate: the alarm" 1 "WORSE" $gate --watch "$tmp/history" --max-slower 99
same "gate: what is worse is no part of the past" "$(grep -c -- '^---' "$tmp/history")" 2

exits "gate: a folder that is not there, before measuring" 2 "cannot create" $gate --baseline "$tmp/no/where"
printf 'g f e d c b a\n%.0s' 1 2 3 4 >"$tmp/other"
exits "gate: another text is another thing" 1 "over another text" gate "$model" --text "$tmp/other" -p 8 -n 4 -t 1 --baseline "$tmp/base"
exits "gate: without a text there is no perplexity" 0 "not measured" gate "$model" -p 8 -n 4 -t 1 --baseline "$tmp/base" --max-slower 99
exits "gate: three plots" 0 "memory MiB, oldest first" $gate --baseline "$tmp/base" --max-slower 99
printf '# a gate\nmodel: %s\ntext: "%s"   # held out\nprefill: 8\ndecode: 4\nthreads: 1\nmax-slower: 99\njson: true\ncsv: false\n' "$model" "$tmp/text" >"$tmp/gate.yaml"
exits "gate: a config" 0 '"passed": true' gate --config "$tmp/gate.yaml" --baseline "$tmp/base"
exits "gate: the command line wins" 1 "this is 1 threads, -p 9 -n 4" gate --config "$tmp/gate.yaml" --baseline "$tmp/base" -p 9
printf 'trials 5\n' >"$tmp/bad.yaml"
exits "gate: a bad config" 2 'line 1: "trials 5" is not "name: value"' gate --config "$tmp/bad.yaml" --baseline "$tmp/base"
printf 'trails: 5\n' >"$tmp/bad.yaml"
exits "gate: an unknown name in it" 1 "did you mean --trials" gate --config "$tmp/bad.yaml" --baseline "$tmp/base"
exits "gate: no config" 2 "No such file" gate --config "$tmp/nothing.yaml"

# ---- profile

"$CUTAWAY" profile "$model" -t 1,2 -p 8,16 -n 4 --prefill 8 -r 2 >"$tmp/profile" 2>"$tmp/err"
same "profile: exit status" $? 0
for part in Decode Prefill Speedup Efficiency Memory Performance Advice; do holds "profile: $part" "$tmp/profile" "^$part"; done
same "profile: quiet when stderr is no terminal" "$(cat "$tmp/err")" ""
"$CUTAWAY" profile "$model" -t 1,2 -p 8 -n 4 --prefill 8 -r 2 --json >"$tmp/json"
for key in efficiency processors_busy resident advice; do holds "profile --json has $key" "$tmp/json" "\"$key\""; done
exits "profile: falling counts" 1 "counts must rise" profile "$model" -t 2,1 -p 8
exits "profile: help" 0 "four plots" profile --help

done_testing
