# `cutaway quantize --method`: ways of rounding one matrix, compared.
. "$(dirname "$0")/common.inc"
pebble=assets/pebble.gguf held=assets/held.txt

exits "help" 0 "--method round|gptq|awq|split|all" quantize --method all --help
exits "a method that is none" 1 "--method best: must be one of round|gptq|awq|split|all" quantize --method best "$pebble" "$held"
exits "bits out of range" 1 "--bits 9: must be at most 8" quantize --method gptq --bits 9 "$pebble" "$held"
exits "no such tensor" 1 'there is no tensor "blk.9.x"' quantize --method=gptq --tensor blk.9.x "$pebble" "$held"
exits "not a matrix" 1 'not a matrix: "blk.0.attn_norm.weight"' quantize --method gptq --tensor blk.0.attn_norm.weight "$pebble" "$held"
exits "a group too large" 1 "group 300: must be in [1, 256]" \
    quantize --method gptq --group 300 --tensor blk.0.attn_q.weight --tokens 64 "$pebble" "$held"
exits "no such text" 2 "nosuch.txt" quantize --method gptq "$pebble" "$tmp/nosuch.txt"
exits "the text is missing" 1 "an argument is missing" quantize --method gptq "$pebble"

small="--tensor blk.1.attn_output.weight --tokens 1024 --bits 3"
"$CUTAWAY" quantize --method all $small --group 32 "$pebble" "$held" >"$tmp/table" 2>"$tmp/err"
same "a table: exit status" $? 0
holds "what is rounded" "$tmp/table" "256 x 256, f16; 3 bits, symmetric, a step per 32 columns"
holds "and judged on what" "$tmp/table" "learnt from 1024 tokens, judged on 1024 others"
same "a line for each method" "$(awk '$NF ~ /%$|[0-9]$|kept$/ && /%/ && !/norm/ { n++ } END { print n }' "$tmp/table")" 5
same "gptq beats plain rounding" \
    "$(awk '/^round  / { r = $5 + 0 } /^gptq/ { g = $5 + 0 } END { print (g > 0 && g < 0.7 * r) ? "yes" : g " of " r }' "$tmp/table")" yes
same "quiet when stderr is no terminal" "$(cat "$tmp/err")" ""
"$CUTAWAY" quantize --method split $small --json "$pebble" "$held" >"$tmp/json"
for key in tensor bits_per_weight output_error_others act_bits outliers; do holds "--json has $key" "$tmp/json" "\"$key\""; done

done_testing
