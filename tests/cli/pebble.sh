# The bundled models: what they can do, by the script that measured the model card, on fewer items; limits leave room for chance.
. "$(dirname "$0")/common.inc"
assets=$(dirname "$0")/../../assets
if [ ! -f "$assets/pebble.gguf" ]; then
    skip "pebble is not there"
    done_testing
    exit
fi
cat "$assets/train/world.lua" "$assets/train/abilities.lua" >"$tmp/abilities.lua"
"$CUTAWAY" lua --limit-instructions 1000000000000 "$tmp/abilities.lua" "$assets/pebble.gguf" "$assets/pebble-draft.gguf" 60 >"$tmp/out" 2>&1 ||
    bad "the script runs" "$(tail -3 "$tmp/out")"

# able NAME PERCENT: the line of the ability says at least so much
able() {
    got=$(sed -n "s/^ *$1  *\([0-9]*\)\..*/\1/p" "$tmp/out" | head -1)
    if [ -n "$got" ] && [ "$got" -ge "$2" ]; then ok "$1: $got %, at least $2"; else bad "$1" "got ${got:-nothing}, want at least $2"; fi
}
able "stories that keep track" 80
able "passage questions" 80
able "sums, pairs held out" 95
able "sums, pairs trained on" 95
able "JSON lines" 95
able "JSON lines, nested" 95
able "brackets closed" 90
able "lists said a third time" 95
able "copies" 90
able "keys to values" 85
able "random tokens, second time" 95
able "definitions" 90
able "tool calls" 90
able "answers from a result" 90
able "draft's choices accepted" 60
holds "an induction head" "$tmp/out" "^induction heads .*: [01]\.[89]\|^induction heads .*: 1.00"
holds "a previous-token head" "$tmp/out" "^previous token heads  *layer [0-9] head [0-9]: 0\.[5-9]"
holds "a first-token sink" "$tmp/out" "^first token, nothing to find  *layer [0-9] head [0-9]: \(0\.[6-9]\|1\.0\)"
exits "a chat template is in the file" 0 "tokenizer.chat_template" inspect "$assets/pebble.gguf"
same "perplexity of the held-out text" "$("$CUTAWAY" perplexity "$assets/pebble.gguf" "$assets/held.txt" | sed 's/perplexity \([0-9]*\.[0-9]\).*/\1/')" "1.8"
same "assets stay small" "$([ "$(cat "$assets"/*.gguf | wc -c)" -lt 12000000 ] && echo yes)" yes
done_testing
