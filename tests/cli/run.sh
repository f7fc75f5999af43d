# `cutaway run`: the text, where it ends, what goes to which stream, and how it is stopped.
. "$(dirname "$0")/common.inc"
model=$(tiny)
run() { "$CUTAWAY" run "$model" "$@" 2>"$tmp/err" </dev/null; }

# ---- any model

same "the prompt is echoed" "$(run -p 'ab cd' -n 0)" "ab cd"
run -p ab -n 5 --temp 0 >"$tmp/a"
run -p ab -n 5 --temp 0 -t 3 >"$tmp/b"
files "the same bytes at any thread count" "$tmp/a" "$tmp/b"
holds "statistics on stderr" "$tmp/err" "^generated *5 tokens, ended by the asked number of tokens"
run -p ab -n 20 --temp 1 --seed 5 >"$tmp/a"
run -p ab -n 20 --temp 1 --seed 5 >"$tmp/b"
run -p ab -n 20 --temp 1 --seed 6 >"$tmp/c"
files "a seed repeats a text" "$tmp/a" "$tmp/b"
if cmp -s "$tmp/a" "$tmp/c"; then bad "another seed, another text"; else ok "another seed, another text"; fi
run -p ab -n 20 --temp 1 >"$tmp/a"
seed=$(sed -n 's/.* seed //p' "$tmp/err")
run -p ab -n 20 --temp 1 --seed "$seed" >"$tmp/b"
files "the seed that is printed repeats the text" "$tmp/a" "$tmp/b"
same "-p - reads standard input" "$(printf 'ab\ncd' | "$CUTAWAY" run "$model" -p - -n 0 2>/dev/null)" "ab
cd"
same "less its last newline" \
    "$(echo ab | "$CUTAWAY" run "$model" -p - -n 5 --temp 0 2>/dev/null)" "$(run -p ab -n 5 --temp 0)"
exits "a prompt longer than the context" 1 "the context 32 cells; --ctx N makes it larger" \
    run "$model" --ctx 32 -p "zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq zz zq"
run -p a -n -1 --ignore-eos --ctx 64 >"$tmp/a"
holds "-n -1 goes on to the full context" "$tmp/err" "ended by a full context"
run -p a -n 3 --no-mmap --kv f32 --activations f32 --batch 1 -c 64 -s 3 >/dev/null && ok "options that change how" ||
    bad "options that change how" "$(cat "$tmp/err")"

timeout --preserve-status -k 10 -s INT 3 \
    "$CUTAWAY" run "$model" -p a -n -1 --ignore-eos --ctx 60000 -t 1 >"$tmp/a" 2>"$tmp/err"
same "Ctrl-C: exit status 130" $? 130
holds "Ctrl-C: statistics" "$tmp/err" "ended by Ctrl-C"
{ sleep 2 | timeout --preserve-status -k 10 -s INT 1 "$CUTAWAY" run "$model" -p -; } >/dev/null 2>&1
same "Ctrl-C while reading the prompt" $? 130
"$CUTAWAY" run "$model" -p a -n -1 --ignore-eos --ctx 60000 2>/dev/null | head -c 3 >"$tmp/a"
same "a closed pipe ends it" "$(wc -c <"$tmp/a" | tr -d ' ')" 3
"$CUTAWAY" run "$model" -p a -n 3 >&- 2>"$tmp/err"
same "no standard output: exit status 2" $? 2
holds "no standard output: said" "$tmp/err" "standard output: "
if [ -c /dev/full ]; then
    "$CUTAWAY" run "$model" -p a -n 3 >/dev/full 2>"$tmp/err"
    same "a full disk: exit status 2" $? 2
    "$CUTAWAY" --help >/dev/full 2>/dev/null
    same "a full disk: also for the help" $? 2
else
    skip "a full disk"
fi

# ---- a trained model: its words are known

stories=$CUT_SHARED/golden/models/stories260K-f32.gguf
if [ ! -r "$stories" ]; then
    skip "stories260K"
    done_testing
    exit
fi
model=$stories
cat >"$tmp/want" <<'END'
Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, "Lily, let's go to the park." Lily was sad and didn't know what to do.
END
chars=$(($(wc -c <"$tmp/want") - 1))
for tier in $(tiers); do
    for threads in 1 2 3; do
        run -p "" -n 120 --temp 0 --kernels "$tier" -t $threads | head -c $chars >"$tmp/got"
        echo >>"$tmp/got"
        files "stories260K from BOS, $tier, $threads threads" "$tmp/got" "$tmp/want"
    done
done
want='Once upon a time, there was a little girl named Lily.'
same "-p TEXT goes on from it" "$(run -p 'Once upon a time' -n 14 --temp 0 | head -c ${#want})" "$want"
same "the prompt from standard input" \
    "$(printf 'Once upon a time' | "$CUTAWAY" run "$model" -p - -n 14 --temp 0 2>/dev/null | head -c ${#want})" "$want"
same "--stop ends before the text" "$(run -p 'Once upon a time' -n 100 --temp 0 --stop ' girl')" \
    'Once upon a time, there was a little'
holds "--stop is told" "$tmp/err" "ended by a stop string"
same "--stop across tokens, the first of two" \
    "$(run -p '' -n 100 --temp 0 --stop 'red ball' --stop='outside in the')" \
    'Once upon a time, there was a little girl named Lily. She loved to play '
same "--top-k 1 is greedy" "$(run -p '' -n 30 --top-k 1 --seed 9)" "$(run -p '' -n 30 --temp 0)"

done_testing
