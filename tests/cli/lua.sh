# `cutaway lua`: scripts, their limits, and how they end.
. "$(dirname "$0")/common.inc"

script() { cat >"$tmp/$1.lua"; }
script hello <<'END'
print("hello", arg[0], arg[1], #arg)
END
script wrong <<'END'
local function inner()
  error("on purpose")
end
inner()
END
script endless <<'END'
local n = 0
while true do
  pcall(function() while true do n = n + 1 end end)
end
END
script greedy <<'END'
local m = assert(cut.model.open())
local seen = 0
local s = m:session()
s:probe("blk.*.attn_out", function(t) seen = seen + 1 end)
s:feed("Once upon a time")
s:run()
assert(seen == m:config().n_layer)
local first = s:logits():argmax() - 1
local r = m:generate{ prompt = "Once upon a time", n = 4, ignore_end = true }
assert(r.ids[1] == first and #r.ids == 4)
print(m:config().arch, #r.ids)
END
script eat <<'END'
local t = {}
while true do t[#t + 1] = {} end
END

exits "a script with arguments" 0 "hello	hello.lua	-x	2" lua "$tmp/hello.lua" -x --json
exits "an error is shown with its line" 1 "cutaway lua: wrong.lua:2: on purpose" lua "$tmp/wrong.lua"
exits "and with a traceback" 1 "wrong.lua:4: in main chunk" lua "$tmp/wrong.lua"
exits "a loop around pcall is stopped, by line" 1 "endless.lua:3: stopped after 5000000 instructions" \
    lua --limit-instructions 5000000 "$tmp/endless.lua"
exits "a time limit" 1 "stopped after 0.2 s" lua --seconds 0.2 "$tmp/endless.lua"
exits "a memory limit" 3 "eat.lua:2: out of memory: the limit is 4.0 MB" lua --memory 4 "$tmp/eat.lua"
exits "the engine from Lua" 0 "llama	4" lua "$tmp/greedy.lua"
exits "no such script" 2 "nosuch.lua: No such file" lua "$tmp/nosuch.lua"
exits "a folder" 2 "directory" lua "$tmp"
exits "no script named" 1 "an argument is missing" lua
exits "an unknown option" 1 "no option --limit" lua --limit 5 "$tmp/hello.lua"
same "a script on standard input" "$(echo 'print(6 * 7)' | "$CUTAWAY" lua -)" 42

model=$(tiny)
script open <<'END'
local m, why = cut.model.open(arg[1] or "other.gguf")
print(m and m:config().n_vocab or why)
END
exits "a model named in the arguments" 0 400 lua "$tmp/open.lua" "$model"
cp "$model" "$tmp/other.gguf"
exits "a model beside the script" 0 400 lua "$tmp/open.lua"
mkdir "$tmp/deep" && cp "$tmp/open.lua" "$tmp/deep/"
exits "no model from elsewhere" 0 "no such file that this script may open" lua "$tmp/deep/open.lua"
ln -s "$model" "$tmp/deep/other.gguf"
exits "nor through a link" 0 "no such file that this script may open" lua "$tmp/deep/open.lua"
echo 'print(cut.model.open():config().n_vocab)' >"$tmp/default.lua"
exits "--model is the default" 0 400 lua --model "$model" "$tmp/default.lua"

"$CUTAWAY" lua --json "$tmp/wrong.lua" >"$tmp/json"
same "--json: the exit status stays" $? 1
holds "--json: ok" "$tmp/json" '"ok": false'
holds "--json: error" "$tmp/json" '"error": "wrong.lua:2: on purpose"'
holds "--json: instructions" "$tmp/json" '"instructions": [0-9]'
"$CUTAWAY" lua --json "$tmp/hello.lua" >"$tmp/json"
holds "--json: output" "$tmp/json" '"output": "hello'

# A shell starts its background commands with SIGINT ignored; env turns it back on.
env --default-signal=INT "$CUTAWAY" lua "$tmp/endless.lua" 2>"$tmp/err" & pid=$!
sleep 0.5
start=$(date +%s)
kill -INT "$pid"
wait "$pid"
same "Ctrl-C: status" "$?" 130
holds "Ctrl-C: message" "$tmp/err" "endless.lua:3: stopped: cancelled"
same "Ctrl-C: at once" "$(($(date +%s) - start < 3))" 1

done_testing
