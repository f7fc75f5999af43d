# From the generated world to a vocabulary, a model, its perplexity and its quantized copies; and what each step refuses.
. "$(dirname "$0")/common.inc"
world=$(dirname "$0")/../../assets/train/world.lua

# ---- the world

"$CUTAWAY" lua "$world" documents 400 7 >"$tmp/text"
"$CUTAWAY" lua "$world" documents 400 7 >"$tmp/again"
files "a seed repeats the world" "$tmp/text" "$tmp/again"
same "each document is marked" "$(grep -c '^<s>' "$tmp/text") $(grep -c '</s>$' "$tmp/text")" "400 400"
"$CUTAWAY" lua "$world" documents 320 1000003 >"$tmp/held"
files "the held-out text follows from its seed" "$tmp/held" "$(dirname "$0")/../../assets/held.txt"
"$CUTAWAY" lua "$world" truth 320 1000003 >"$tmp/truth"
files "and so do its facts" "$tmp/truth" "$(dirname "$0")/../../assets/held.lua"
exits "a count that is none" 1 'documents: "many" is not a whole number' lua "$world" documents many
exits "a kind of document that is none" 1 'no kind of document is called "poem"' lua "$world" show poem
try() { { cat "$world"; echo "$1"; } >"$tmp/try.lua"; }
try 'print(world.fill("{A} saw the {t}.", { A = "Mia", t = "dragon" }))'
exits "a word the world does not know" 1 'unknown word "dragon" for {t}' lua "$tmp/try.lua"
try 'print(world.fill("{A} saw the {x}.", { A = "Mia", x = "ball" }))'
exits "a slot the world does not know" 1 '{x} is no kind of word' lua "$tmp/try.lua"
try 'for i = 1, 500 do assert(world.check_story((world.document(9, i, ({ "story", "long_story", "tale", "chronicle", "chain" })[i % 5 + 1])))) end print "all sound"'
exits "the checker finds every generated story sound" 0 "all sound" lua "$tmp/try.lua"
try 'print(world.check_story("Mia had a red ball. Mia gave the ball to Tom. Mia gave the ball to Ben."))'
exits "and sees a gift by one who has nothing" 0 "cannot be: Mia gave the ball to Ben." lua "$tmp/try.lua"
try 'print(world.check_story("Mia had a red ball. Mia ball gave."))'
exits "and what is no sentence" 0 "not a sentence: Mia ball gave." lua "$tmp/try.lua"

# ---- the vocabulary

exits "a vocabulary" 0 "tokens, 66 of them merged" vocab train "$tmp/text" "$tmp/v.gguf" --size 426 --control "<|user|>" --control "<|assistant|>" \
    --control "<|call|>" --control "<|result|>" --control "<|system|>" --control "<|end|>" --end "<|end|>"
exits "too small for its bytes" 1 "size: 256 tokens is not in 354" vocab train "$tmp/text" "$tmp/x.gguf" --size 256
: >"$tmp/empty"
printf 'ab\000cd' >"$tmp/binary"
exits "from an empty text" 2 "the file is empty" vocab train "$tmp/empty" "$tmp/x.gguf"
exits "from a binary file" 2 "byte 0x00 at offset 2" vocab train "$tmp/binary" "$tmp/x.gguf"
exits "an end token that is none" 1 "not one of the control tokens" vocab train "$tmp/text" "$tmp/x.gguf" --end "<|stop|>"

# ---- training

train() { "$CUTAWAY" train "$tmp/text" "$tmp/m.gguf" --vocab "$tmp/v.gguf" --dim 32 --layers 1 --heads 2 --kv-heads 1 --ffn 32 --batch 512 "$@"; }
exits "on an empty text" 2 "the file is empty" train "$tmp/empty" "$tmp/x.gguf" --vocab "$tmp/v.gguf"
exits "on a binary file" 2 "byte 0x00 at offset 2" train "$tmp/binary" "$tmp/x.gguf" --vocab "$tmp/v.gguf"
exits "without a model and a vocabulary" 2 "nosuch.gguf" train "$tmp/text" "$tmp/nosuch.gguf"
train --steps 6 -t 1 >"$tmp/log" 2>&1
same "six steps" $? 0
cp "$tmp/m.gguf" "$tmp/six.gguf"
rm "$tmp/m.gguf" "$tmp/m.gguf.state"
train --steps 3 --lr 0.002 --lr-end 0.002 --fresh >"$tmp/log" 2>&1
timeout --preserve-status -k 10 -s INT 2 "$CUTAWAY" train "$tmp/text" "$tmp/m.gguf" --batch 512 --steps 1000000 --save 1000000 --show 1000000 >"$tmp/log" 2>&1
same "Ctrl-C: exit status 130" $? 130
holds "and says how to go on" "$tmp/log" "the same command goes on from step"
holds "it had gone on from its checkpoint" "$tmp/log" "^going on from step 3 of"
step=$(sed -n 's/.*goes on from step //p' "$tmp/log")
train --steps $((step + 2)) --held "$tmp/held" >"$tmp/log" 2>&1
holds "and does so again" "$tmp/log" "^going on from step $step of"
loss=$(sed -n 's/^held-out loss \([0-9.]*\) .*/\1/p' "$tmp/log" | tail -1)
ppl=$("$CUTAWAY" perplexity "$tmp/m.gguf" "$tmp/held" --kv f32 | sed -n 's/.*(\([0-9.]*\) nats.*/\1/p')
awk -v a="$ppl" -v b="$loss" 'BEGIN { exit !(a > 0 && (a - b) ^ 2 < 0.005 ^ 2) }'
same "the engine measures the loss that training does ($ppl, $loss)" $? 0

# ---- formats

for format in q8_0 q4_0 f32; do
    "$CUTAWAY" quantize "$tmp/m.gguf" "$tmp/q.gguf" $format >/dev/null && "$CUTAWAY" perplexity "$tmp/q.gguf" "$tmp/held" >"$tmp/log" 2>&1
    holds "a copy in $format" "$tmp/log" "^perplexity [0-9]"
done
exits "rows too short for its blocks" 0 "rows of 32 are no multiple of 256: q6_K falls back to q8_0" quantize "$tmp/m.gguf" "$tmp/q.gguf" q6_K
exits "a file type mistyped" 1 "did you mean" quantize "$tmp/m.gguf" "$tmp/q.gguf" q5_k_n
exits "a format that is none" 1 '"q99" is no file type' quantize "$tmp/m.gguf" "$tmp/q.gguf" q99
exits "perplexity of an empty text" 2 "the file is empty" perplexity "$tmp/m.gguf" "$tmp/empty"
done_testing
