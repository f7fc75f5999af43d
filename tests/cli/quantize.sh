# quantize, convert-batch, imatrix and gguf from outside: what they write, what they say, what they refuse, and what a Ctrl-C leaves.
. "$(dirname "$0")/common.inc"
assets=$(dirname "$0")/../../assets
pebble=$assets/pebble.gguf
model=$(tiny)
head -c 6000 "$assets/held.txt" >"$tmp/text"       # a few documents: enough to compare by

# ---- the plan

exits "the presets" 0 "production  q8_0" quantize --presets
exits "and the file types" 0 "q4_K_M      4.50" quantize --presets
exits "a dry run needs no output" 0 "rows of 64 are no multiple of 256: q4_K falls back to q5_0" quantize "$model" q4_k_m --dry-run
"$CUTAWAY" quantize "$pebble" q4_k_m --dry-run --tensor-type 'blk.0.*=q8_0' --tensor-type '*.ffn_down=q2_K' --token-embedding-type q5_K >"$tmp/plan"
holds "rules: the first that matches" "$tmp/plan" "^blk.0.ffn_down.weight .*-> q8_0 .* blk.0.\*$"
holds "and the next" "$tmp/plan" "^blk.1.ffn_down.weight .*-> q2_K "
holds "the embeddings" "$tmp/plan" "^token_embd.weight .*-> q5_K .*as asked"
holds "the file type's own" "$tmp/plan" "^blk.3.attn_v.weight .*-> q6_K .*half the layers"
printf -- '# a recipe\n--tensor-type blk.1.ffn_down.weight=q6_K\nblk.2.attn_q.weight=q3_K\r\n\n' >"$tmp/recipe"
"$CUTAWAY" quantize "$pebble" q4_k_m --dry-run --pure --tensor-type-file "$tmp/recipe" >"$tmp/plan"
same "rules from a file" "$(grep -c -e '^blk.1.ffn_down.weight .*-> q6_K' -e '^blk.2.attn_q.weight .*-> q3_K' "$tmp/plan")" 2
same "pure: the same for the others" "$(grep -c -- '-> q4_K' "$tmp/plan")" "$(($(grep -c -- '->' "$tmp/plan") - 3))"
exits "a rule without a format" 1 "--tensor-type blk.0: PATTERN=FORMAT is needed" quantize "$pebble" q8_0 --dry-run --tensor-type blk.0
exits "a rule with none that exists" 1 '"q99" is no number format' quantize "$pebble" q8_0 --dry-run --tensor-type 'blk.*=q99'
exits "a rule that matches nothing" 0 "--tensor-type blk.9.*: decides about no tensor" quantize "$pebble" q8_0 --dry-run --tensor-type 'blk.9.*=q4_0'
exits "or nothing that is quantized" 0 "--tensor-type *norm*: decides about no tensor" quantize "$pebble" q8_0 --dry-run --tensor-type '*norm*=q4_0'
exits "no threads" 1 "--threads 0: must be at least 1" quantize "$pebble" q8_0 --dry-run --threads 0
exits "no output" 1 "IN, OUT and TYPE are needed" quantize "$pebble" q8_0
exits "few bits without an importance matrix" 1 "need an importance matrix" quantize "$pebble" "$tmp/x.gguf" iq2_xs
exits "a dry run of it says so" 0 "needs an importance matrix: blk.0." quantize "$pebble" iq2_xs --dry-run

# ---- a file

exits "a model quantized" 0 "(4.78 bits per weight)" quantize "$pebble" "$tmp/q4.gguf" balanced --tensor-type 'token_embd=q4_K' -t 2
exits "runs" 0 "perplexity" perplexity "$tmp/q4.gguf" "$tmp/text" -t 1
"$CUTAWAY" inspect "$tmp/q4.gguf" >"$tmp/log"
holds "its file type" "$tmp/log" "general.file_type  *u32  *15$"
holds "its version" "$tmp/log" "general.quantization_version  *u32  *2$"
cp "$tmp/q4.gguf" "$tmp/same.gguf"
exits "onto itself" 0 "written" quantize "$tmp/same.gguf" "$tmp/same.gguf" q4_k_m --tensor-type 'token_embd=q4_K'
files "nothing changes where the format stays" "$tmp/same.gguf" "$tmp/q4.gguf"

exits "rounding again" 0 "tensors are quantized already" quantize "$tmp/q4.gguf" q8_0 --dry-run
case $("$CUTAWAY" quantize "$tmp/q4.gguf" f16 --dry-run 2>&1) in *warning*) got=warned ;; *) got= ;; esac
same "not so where nothing is rounded" "$got" ""

# A model large enough that an interrupt comes in time.
"$CUTAWAY" synth "$tmp/large.gguf" llama dim=1024 ffn=2816 layers=8 heads=8 vocab=4000 type=f16 >/dev/null
echo old >"$tmp/old.gguf"
"$CUTAWAY" quantize "$tmp/large.gguf" "$tmp/old.gguf" q2_k -t 1 >"$tmp/log" 2>&1 &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10; do ls "$tmp"/old.gguf.tmp.* >/dev/null 2>&1 && break; sleep 0.1; done
# A shell without job control starts background jobs deaf to Ctrl-C, but the program has armed its own handler.
kill -INT $pid
wait $pid
same "Ctrl-C: exit status 130" $? 130
same "the old file is there" "$(cat "$tmp/old.gguf")" old
same "and no other" "$(ls "$tmp" | grep -c 'tmp\.')" 0
"$CUTAWAY" quantize "$tmp/large.gguf" "$tmp/old.gguf" q2_k -t 1 >"$tmp/log" 2>&1 &
pid=$!
for i in 1 2 3 4 5 6 7 8 9 10; do ls "$tmp"/old.gguf.tmp.* >/dev/null 2>&1 && break; sleep 0.1; done
kill -TERM $pid
wait $pid
same "asked to terminate: the same" "$? $(cat "$tmp/old.gguf") $(ls "$tmp" | grep -c 'tmp\.')" "130 old 0"

# What is no file stays what it is: renaming over a device would be the end of it.
mkfifo "$tmp/pipe"
for command in "quantize $pebble $tmp/pipe q8_0" "imatrix $pebble $tmp/text $tmp/pipe" "logits $pebble --tokens 1 -o $tmp/pipe" \
    "perplexity $pebble $tmp/text --chunk 64 --chunks 1 --save-logits $tmp/pipe"; do
    exits "a pipe is refused: ${command%% *}" 2 "pipe: cannot write: a device or pipe, not a file" $command
done
same "and is there" "$([ -p "$tmp/pipe" ] && echo yes)" yes
cp "$pebble" "$tmp/target.gguf"
ln -s target.gguf "$tmp/link.gguf"
exits "a link is followed" 0 "-> string gravel" gguf set "$tmp/link.gguf" general.name gravel
same "and stays a link" "$([ -h "$tmp/link.gguf" ] && "$CUTAWAY" inspect "$tmp/target.gguf" | grep -c gravel)" 1

# ---- importance

exits "an importance matrix" 0 "28 entries over" imatrix "$pebble" "$tmp/text" "$tmp/im.gguf"
exits "shown" 0 "blk.3.ffn_down.weight" imatrix "$tmp/im.gguf" --show
exits "applied" 0 "written" quantize "$pebble" "$tmp/qi.gguf" q2_k --imatrix "$tmp/im.gguf"
"$CUTAWAY" quantize "$pebble" "$tmp/q.gguf" q2_k >/dev/null
cmp -s "$tmp/q.gguf" "$tmp/qi.gguf"
same "and it makes a difference" $? 1
"$CUTAWAY" inspect "$tmp/qi.gguf" >"$tmp/log"
holds "which the file tells" "$tmp/log" "quantize.imatrix.entries_count  *u32  *28$"
exits "and which runs" 0 "perplexity" perplexity "$tmp/qi.gguf" "$tmp/text" -t 1
exits "a model is none" 2 'not "imatrix"' imatrix "$pebble" --show
exits "nor is a text" 2 "importance matrix" quantize "$pebble" "$tmp/x.gguf" q2_k --imatrix "$tmp/text"
exits "one of another model" 1 "columns, its importance matrix" quantize "$tmp/large.gguf" q2_k --dry-run --imatrix "$tmp/im.gguf"
"$CUTAWAY" gguf rename-tensor "$pebble" blk.0.attn_q.weight blk.0.other.weight --force --out "$tmp/renamed.gguf" >/dev/null
exits "a tensor it lacks" 0 "1 tensors are not in the importance matrix" quantize "$tmp/renamed.gguf" q2_k --dry-run --imatrix "$tmp/im.gguf"
"$CUTAWAY" imatrix "$model" "$tmp/text" "$tmp/names.gguf" >/dev/null
for name in $("$CUTAWAY" inspect "$tmp/names.gguf" | sed -n 's/.* \(blk[^ ]*\)$/\1/p'); do
    "$CUTAWAY" gguf rename-tensor "$tmp/names.gguf" "$name" "x.$name" --force >/dev/null
done
exits "one that names nothing here" 1 "names none of the 14 tensors to be quantized: it is another model's" quantize "$model" q8_0 --dry-run --imatrix "$tmp/names.gguf"
head -c 4000 /dev/urandom >"$tmp/noise"
exits "noise is no text" 2 "this is no UTF-8 text" imatrix "$pebble" "$tmp/noise" "$tmp/x.gguf"
exits "nor for chunks" 2 "this is no UTF-8 text" perplexity "$pebble" "$tmp/noise" --chunk 64
exits "arguments missing" 1 "MODEL, TEXT and OUT are needed" imatrix "$pebble" "$tmp/text"

# ---- many files

exits "a batch with a bad file" 2 "2 of 3 files" convert-batch "$pebble" "$tmp/nosuch.gguf" "$assets/pebble-draft.gguf" --preset production --out "$tmp/batch"
(cd "$tmp/batch" && sha256sum -c SHA256SUMS >"$tmp/log" 2>&1)
same "its checksums" "$? $(grep -c OK "$tmp/log")" "0 2"
holds "its log" "$tmp/batch/log.json" '"agree": 2[0-9]'
holds "the failure in it" "$tmp/batch/log.json" '"error": ".*nosuch.gguf: No such file'
holds "its README" "$tmp/batch/README.md" "^| pebble-q8_0.gguf | production | 2.8 | 8.60 | [0-9]* of 24 |"
echo kept >"$tmp/batch/pebble-q8_0.gguf"
mkdir "$tmp/twin"
cp "$pebble" "$tmp/twin/"
exits "two of a name" 2 "twin/pebble.gguf: failed: it would become pebble-q4_K_S.gguf, as another does" convert-batch "$pebble" "$tmp/twin/pebble.gguf" --preset mobile --out "$tmp/two"
exits "what is there is kept, and looked at" 2 "pebble-q8_0.gguf" convert-batch "$pebble" --preset production --out "$tmp/batch"
same "even if it is none" "$(cat "$tmp/batch/pebble-q8_0.gguf")" kept
exits "or replaced" 0 "1 of 1 files" convert-batch "$pebble" --preset production --out "$tmp/batch" --overwrite
exits "a second batch into the folder" 0 "1 of 1 files" convert-batch "$pebble" --preset mobile --out "$tmp/batch" -p "There was"
(cd "$tmp/batch" && sha256sum -c SHA256SUMS >"$tmp/log" 2>&1)
same "the checksums of all it holds" "$? $(grep -c OK "$tmp/log")" "0 3"
same "the log, too" "$(grep -c '"sha256"' "$tmp/batch/log.json")" 3
holds "and the README: of the earlier one" "$tmp/batch/README.md" "^| pebble-draft-q8_0.gguf | production |"
holds "and of this" "$tmp/batch/README.md" "^| pebble-q4_K_S.gguf | mobile |"
rm "$tmp/batch/pebble-draft-q8_0.gguf"
exits "what is gone is no longer listed" 0 "1 of 1 files" convert-batch "$pebble" --preset mobile --out "$tmp/batch"
same "nor summed" "$(wc -l <"$tmp/batch/SHA256SUMS" | tr -d ' ')" 2
exits "no such preset" 1 "--preset tiny: must be mobile" convert-batch "$pebble" --preset tiny --out "$tmp/batch"
exits "no folder" 1 "--preset and --out are needed" convert-batch "$pebble" --preset mobile

# ---- metadata

cp "$pebble" "$tmp/e.gguf"
exits "set" 0 "general.name: string pebble -> string gravel" gguf set "$tmp/e.gguf" general.name gravel
exits "set anew" 0 "x.y: (none) -> i32 -7" gguf set "$tmp/e.gguf" x.y -- -7
exits "with a type" 0 "x.y: i32 -7 -> u8 7" gguf set "$tmp/e.gguf" x.y 7 --type u8
exits "rename" 0 "x.y -> x.z" gguf rename "$tmp/e.gguf" x.y x.z
exits "rm" 0 "x.z: u8 7 -> (none)" gguf rm "$tmp/e.gguf" x.z
exits "back to what it was" 0 "gravel -> string pebble" gguf set "$tmp/e.gguf" general.name pebble
files "byte for byte" "$tmp/e.gguf" "$pebble"
exits "to another file" 0 "" gguf set "$pebble" general.name other --out "$tmp/other.gguf"
exits "which runs" 0 "" run "$tmp/other.gguf" -p Once -n 4 --temp 0
exits "what it needs" 1 "is needed to run the file" gguf rm "$tmp/e.gguf" llama.block_count
exits "unless forced" 0 "-> (none)" gguf rm "$tmp/other.gguf" llama.block_count --force
exits "and then it does not" 2 "block_count" run "$tmp/other.gguf" -p Once -n 4
exits "a verb it has not" 1 'did you mean "set"' gguf sett "$tmp/e.gguf" a b
exits "too little" 1 "set: FILE, KEY and VALUE are needed" gguf set "$tmp/e.gguf" a
exits "a type it has not" 1 "--type u24" gguf set "$tmp/e.gguf" a 1 --type u24
exits "a value that is none" 1 '"x" is no u32' gguf set "$tmp/e.gguf" llama.context_length x
exits "a key with spaces" 1 "a key is letters, digits" gguf set "$tmp/e.gguf" "my key" 1
exits "unless forced" 0 "my key: (none)" gguf set "$tmp/e.gguf" "my key" 1 --force
exits "a value that is no text" 1 "no UTF-8 text" gguf set "$tmp/e.gguf" a "$(printf '\377')"
exits "no GGUF" 2 "text" gguf set "$tmp/text" a 1
done_testing
