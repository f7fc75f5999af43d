# `cutaway lab`: the list, the texts, and verdicts with their exit statuses.
. "$(dirname "$0")/common.inc"
export XDG_STATE_HOME="$tmp/state"
CUTAWAY=$(cd "$(dirname "$CUTAWAY")" && pwd)/cutaway
labs=$PWD/labs/m1/1.1-first-run

exits "the list" 0 "1.1    First run" lab
exits "a hint" 0 "Hint 1 of 3: " lab 1.1 --hint 1
exits "no fourth hint" 1 "--hint 4: must be at most 3" lab 1.1 --hint 4
exits "the text" 0 "1. Before anything runs  [predict]" lab 1.1 --print
exits "no such lab" 1 'there is no lab "7.77"' lab 7.77
exits "a check of nothing" 1 "which lab?" lab --check x.lua
exits "a script that is not there" 2 "nosuch.lua: No such file" lab 1.1 --check nosuch.lua
exits "no such folder of labs" 2 "no such folder" lab --labs "$tmp/nowhere"

exits "the script to begin with fails" 1 "0 of 5 checks passed" lab 1.1 --check "$labs/start.lua"
same "and the lab is not done" "$("$CUTAWAY" lab | grep -c 'First run.*done')" 0
exits "the solution passes" 0 "5 of 5 checks passed" lab 1.1 --check "$labs/solution.lua"
exits "and the lab is done" 0 "done" lab
exits "a wrong answer is told apart" 1 'lab.changed is "both"' lab 1.1 --check "$labs/wrong-4-text-and-speed.lua"
exits "every lab is honest" 0 "solution.lua passes" lab lint

echo 'while true do pcall(function() while true do end end) end' >"$tmp/endless.lua"
mkdir -p "$tmp/labs/m1/1.1-quick"
cp "$labs"/*.lua "$tmp/labs/m1/1.1-quick/"
sed 's/max_seconds = 60/max_seconds = 1/' "$labs/lab.lua" >"$tmp/labs/m1/1.1-quick/lab.lua"
exits "an endless script is stopped" 1 "endless.lua:1: stopped after 1 s" \
    lab 1.1 --labs "$tmp/labs" --check "$tmp/endless.lua"
sed '/minutes = 30/d' "$labs/lab.lua" >"$tmp/labs/m1/1.1-quick/lab.lua"
exits "a broken lab is listed with its problem" 0 "'minutes' must be a whole number" lab --labs "$tmp/labs"
exits "and cannot be checked" 2 "'minutes' must be a whole number" lab 1.1 --labs "$tmp/labs" --check "$tmp/endless.lua"

cd "$tmp" || exit 1
exits "--start writes the script" 0 "lab-1.1.lua is yours to complete" lab 1.1 --start
files "as it is in the lab" lab-1.1.lua "$labs/start.lua"
exits "--start overwrites nothing" 2 "is there already" lab 1.1 --start

done_testing
