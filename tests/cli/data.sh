# What other programs read: logits, token ids, JSON.
. "$(dirname "$0")/common.inc"
model=$(tiny)

# ---- logits

ids="1 300 310 7 299 5 320"
exits "logits are written" 0 "" logits "$model" --tokens "$ids" --out "$tmp/one"
same "float32 [tokens][vocab]" "$(wc -c <"$tmp/one" | tr -d ' ')" $((7 * 400 * 4))
exits "ids with commas, three at a time" 0 "" \
    logits "$model" --tokens "1,300, 310,7,299,5,320" --batch 3 -o "$tmp/three" -t 3
files "a batch of three gives the same bytes" "$tmp/one" "$tmp/three"
exits "an id beyond the vocabulary" 1 "--tokens: id 400, but the vocabulary has 400 tokens" \
    logits "$model" --tokens "1 400" --out "$tmp/x"
exits "a folder that is not there" 2 "nowhere/x: cannot create" logits "$model" --tokens 1 --out "$tmp/nowhere/x"
[ ! -e "$tmp/x" ] && [ ! -e "$tmp/x.tmp" ] && ok "a failure leaves no file" || bad "a failure leaves no file"

# compare FILE REFERENCE: the largest difference over the standard deviation of the reference
compare() {
    paste -d ' ' "$1" "$2" | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > max) max = d; s += $2; q += $2 * $2; n++ }
        END { print (n && max / sqrt(q / n - s * s / n / n) < limit) ? "close" : "far: " max }' limit="$3"
}
floats() { od -An -v -tf4 -w4 "$1" | tr -d ' '; }
golden() { # NAME LIMIT OPTIONS...
    name=$1 limit=$2
    shift 2
    file=$CUT_SHARED/golden/models/$name
    tokens="1 403 407 261 378 312 290 449 305 276 419 262 433 330 286 415 266 290 360 278 501 317 420 268"
    "$CUTAWAY" logits "$file.gguf" --out "$tmp/got" "$@" --tokens "$tokens" || { bad "logits of $name $*"; return; }
    floats "$tmp/got" >"$tmp/got.txt"
    floats "$file.logits" >"$tmp/want.txt"
    same "logits of $name $*" "$(compare "$tmp/got.txt" "$tmp/want.txt" "$limit")" close
}
if [ -r "$CUT_SHARED/golden/models/stories260K-f32.logits" ]; then
    for tier in $(tiers); do golden stories260K-f32 1e-4 --kernels "$tier"; done
    golden stories260K-f32 1e-4 --batch 24
    golden llama-f16 1e-2
else
    skip "golden logits"
fi

# ---- token ids

tokenize() { "$CUTAWAY" tokenize "$model" "$@"; }
same "ids on one line" "$(printf 'a' | tokenize | wc -l | tr -d ' ')" 1
same "BOS in front" "$(printf 'ab' | tokenize | cut -d ' ' -f 1)" 1
same "--no-bos" "1 $(printf 'ab' | tokenize --no-bos)" "$(printf 'ab' | tokenize)"
same "nothing in, nothing out" "$(printf '' | tokenize --no-bos)" ""
same "control tokens are text" "$(printf '</s>' | tokenize --no-bos | grep -cw 2)" 0
same "--special" "$(printf '</s>' | tokenize --no-bos --special)" 2
same "--pieces" "$(printf '\n' | tokenize --no-bos --pieces | tail -n 1)" "    13  <0x0A>"
spm=$CUT_SHARED/golden/vocab/llama-spm
if [ -r "$spm.gguf" ]; then
    same "ids of a real vocabulary" "$(printf 'Hello, world!' | "$CUTAWAY" tokenize "$spm.gguf")" "1 15043 29892 3186 29991"
    exits "another kind of vocabulary" 2 '"gpt2"' tokenize "$CUT_SHARED/golden/vocab/gpt-2.gguf"
else
    skip "a real vocabulary"
fi

# ---- bench

"$CUTAWAY" bench "$model" -p 16 -n 4 -t 2 -r 3 --json >"$tmp/json" 2>"$tmp/err"
same "bench: exit status" $? 0
for key in prefill_tps decode_tps model type threads tier p n rounds version; do
    grep -q "\"$key\"" "$tmp/json" && ok "bench --json has $key" || bad "bench --json has $key" "$(cat "$tmp/json")"
done
same "bench: a round each" "$(grep -c prefill_tps "$tmp/json")" 4
same "bench: quiet when stderr is no terminal" "$(cat "$tmp/err")" ""
exits "bench: a table" 0 "median" bench "$model" -p 16 -n 4 -r 1
timeout --preserve-status -k 10 -s INT 1 "$CUTAWAY" bench "$model" -p 0 -n 60000 -r 64 >/dev/null 2>&1
same "bench: Ctrl-C" $? 130

done_testing
