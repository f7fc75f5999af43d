# Measuring damage from the command line: perplexity with a reference, and builds side by side.
. "$(dirname "$0")/common.inc"
model=$(tiny)
story=$(dirname "$0")/../fixtures/tools/story.txt

# ---- perplexity

exits "by documents, with its error" 0 " ± " perplexity "$model" "$story"
exits "in chunks" 0 "the second halves of 4 chunks of 64" perplexity "$model" "$story" --chunk 64 --chunks 4
exits "against itself" 0 "same most likely         100.00 ± 0.00 %" perplexity "$model" "$story" --chunk 64 --chunks 2 --kl-base "$model"
exits "logits are saved" 0 "perplexity" perplexity "$model" "$story" --chunk 64 --chunks 2 --save-logits "$tmp/logits"
same "24 bytes, ids, a row for each token counted" "$(wc -c <"$tmp/logits" | tr -d ' ')" $((24 + 2 * 64 * 4 + 2 * 31 * 400 * 4))
exits "and compared with" 0 "KL, mean               0.000000 ± 0.000000" perplexity "$model" "$story" --chunk 64 --kl-base "$tmp/logits"
exits "as JSON" 0 '"kl_p99": 0,' perplexity "$model" "$story" --chunk 64 --chunks 2 --kl-base "$model" --json
exits "a text is no base" 2 "story.txt: no file of saved logits" perplexity "$model" "$story" --chunk 64 --kl-base "$story"
exits "a text too short for the chunks" 1 "do not fill one chunk of 60000" perplexity "$model" "$story" --chunk 60000

# ---- compare

exits "builds made in memory" 0 "q4_0 " compare "$model" --text "$story" --types q8_0,q4_0 --chunk 64 --chunks 2 -p 8 -n 4 -r 1 --plots --out "$tmp/report"
same "no model was written" "$(ls "$tmp" | tr '\n' ' ')" "logits report tiny.gguf "
same "four formats, four plots in two" "$(ls "$tmp/report" | wc -l | tr -d ' ')" 12
for p in size-perplexity size-kl size-speed kl-tokens; do
    holds "$p.svg is whole" "$tmp/report/$p.svg" '^</svg>$'
    holds "$p.txt names the build" "$tmp/report/$p.txt" 'q4_0'
done
same "a row for each build" "$(grep -c '^| [tq]' "$tmp/report/compare.md") $(grep -c '"bits_per_weight"' "$tmp/report/compare.json")" "3 3"
same "every row of the CSV has all columns" "$(awk -F, '{ print NF }' "$tmp/report/compare.csv" | sort -u)" 18
holds "the reference differs from nothing" "$tmp/report/compare.csv" '^tiny,[0-9]*,32,[0-9.]*,[0-9.]*,0,0,0,0,0,0,0,0,0,1,0,'
exits "CSV on standard output, without speeds" 0 ",0,1,0,," compare "$model" "$model" --text "$story" --chunk 64 --chunks 1 --no-speed --format csv
exits "nothing to compare" 1 "one build: nothing to compare it with" compare "$model" --text "$story"
exits "no text" 1 "--text FILE is needed" compare "$model" --types q8_0
exits "no such format" 1 '"q9" is no file type and no number format' compare "$model" --text "$story" --types q8_0,q9
exits "a format for activations" 1 "format q8_1 cannot be written and run" compare "$model" --text "$story" --types q8_1
exits "a model that is not there" 2 "nowhere.gguf" compare "$model" "$tmp/nowhere.gguf" --text "$story" --chunk 64
done_testing
