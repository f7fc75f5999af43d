# What the command line accepts, and how it refuses the rest: by name and value, with the right exit status.
. "$(dirname "$0")/common.inc"

exits "help" 0 "usage: cutaway [FILE]" --help
exits "help, the short way" 0 "usage: cutaway [FILE]" -h
exits "help as a command" 0 "tokenize" help
exits "version" 0 "cutaway 0." --version
exits "version names the kernels" 0 "kernels: ref" --version
for c in run bench ops profile gate inspect tokenize logits synth lab lua; do
    exits "help of $c" 0 "usage: cutaway $c" "$c" --help
    exits "help $c" 0 "usage: cutaway $c" help "$c"
done
exits "help shows defaults" 0 "temperature, 0: always the likeliest token (default 0.8)" run --help
exits "help of no command" 1 'no command or file "nosuch"' help nosuch

exits "unknown command" 1 'no command or file "xyzzy"' xyzzy
exits "mistyped command" 1 'did you mean "run"?' rnu
exits "mistyped command, longer" 1 'did you mean "tokenize"?' tokenise
exits "unknown option" 1 "cutaway run: no option --frobnicate" run --frobnicate 3
exits "mistyped option" 1 "no option --treads; did you mean --threads?" run --treads=3
exits "abbreviated option" 1 "did you mean --repeat-penalty?" run --repeat-pen 1
exits "unknown short option" 1 "no option -x" run -x
exits "value missing" 1 "--temp needs a value: --temp T" run --temp
exits "value for a flag" 1 '--no-mmap takes no value, so "3" means nothing' run --no-mmap=3
exits "an argument too many" 1 '"b.gguf": one argument too many' run a.gguf b.gguf -p x
exits "after -- all are arguments" 1 '"--temp": one argument too many' run -p x -- a.gguf --temp
exits "no prompt" 1 "no prompt: give one with -p TEXT" run a.gguf
exits "argument missing" 1 "an argument is missing: cutaway logits FILE" logits --tokens 1 --out x

bad_value() { # COMMAND OPTION VALUE TEXT
    exits "$1 $2 $3" 1 "cutaway $1: $2 $3: $4" "$1" a.gguf "$2" "$3" -p x
}
bad_value run -n -5 "must be at least -1"
bad_value run -n 1e3 "not a whole number"
bad_value run -n " 3" "not a whole number"
bad_value run -n 99999999999999999999 "must be at most 1000000000"
bad_value run --threads 0 "must be at least 1"
bad_value run -t 0 "must be at least 1"
bad_value run --threads two "not a whole number"
bad_value run --threads 257 "must be at most 256"
bad_value run --ctx -1 "must be at least 0"
bad_value run --batch -1 "must be at least 0"
bad_value run --top-p 7 "must be in (0, 1]"
bad_value run --top-p 0 "must be in (0, 1]"
bad_value run --top-k -1 "must be 0 (off) or more"
bad_value run --min-p 1.5 "must be in [0, 1]"
bad_value run --temp -0.5 "must be 0 (greedy) or more"
bad_value run --temp warm "not a number"
bad_value run --temp nan "not a number"
bad_value run --temp 0.5x "not a number"
bad_value run --repeat-penalty 0 "must be above 0"
bad_value run --repeat-last -1 "must be 0 (off) or more"
bad_value run --seed -3 "not a whole number of 0 or more"
bad_value run --seed 18446744073709551616 "must be below 2^64"
bad_value run --kv q3 "must be one of f16|f32"
bad_value run --activations f16 "must be one of q8|f32"
exits "run --stop ''" 1 '--stop "": an empty text' run a.gguf -p x --stop ""
exits "run --kernels sse9" 1 'cutaway run: --kernels "sse9": ' run a.gguf -p x --kernels sse9
exits "bench -r 0" 1 "cutaway bench: -r 0: must be at least 1" bench a.gguf -r 0
exits "bench -r 65" 1 "cutaway bench: -r 65: must be at most 64" bench a.gguf -r 65
exits "bench -p 0 -n 0" 1 "nothing to measure" bench a.gguf -p 0 -n 0
exits "a value may stand with its option" 1 "-t 0: must be at least 1" run -t0 -p x
exits "logits without tokens" 1 "no token ids" logits a.gguf --out x
exits "logits without a file to write" 1 "name a file with --out" logits a.gguf --tokens 1
exits "logits of what is no id" 1 '--tokens: "x4" is not a token id' logits a.gguf --tokens "1 x4" --out "$tmp/x"
exits "logits of a negative id" 1 '--tokens: "-4" is not a token id' logits a.gguf --tokens "1,-4" --out "$tmp/x"
exits "logits of no ids" 1 "no token id" logits a.gguf --tokens " , " --out "$tmp/x"

for c in run bench; do
    exits "$c without its file" 2 "nosuch.gguf: No such file" $c "$tmp/nosuch.gguf" -p 1
done
exits "tokenize without its file" 2 "nosuch.gguf: No such file" tokenize "$tmp/nosuch.gguf"
exits "logits without its file" 2 "nosuch.gguf: No such file" logits "$tmp/nosuch.gguf" --tokens 1 --out "$tmp/x"
exits "a folder is no model" 2 "a directory" run "$tmp" -p x
: >"$tmp/empty.gguf"
exits "an empty file is no model" 2 "empty.gguf" run "$tmp/empty.gguf" -p x
echo "some text that is no model at all" >"$tmp/text.gguf"
exits "text is no model" 2 "text.gguf" run "$tmp/text.gguf" -p x

done_testing
