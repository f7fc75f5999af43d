#!/bin/sh
# lint.sh - the arrows of the tree point down only. Prints each line that breaks a rule; exit status 1 if there is one.
set -u
bad=0
forbid() { # RULE FILES-PATTERN REGEX
    rule=$1; regex=$2; shift 2
    files=$(ls "$@" 2>/dev/null)
    [ -z "$files" ] && return
    if hits=$(grep -nE "$regex" $files /dev/null); then echo "$rule:"; echo "$hits" | sed 's/^/    /'; bad=1; fi
}
up() { # FOLDER FOLDERS-IT-MAY-NOT-INCLUDE...
    low=$1; shift
    forbid "engine/$low looks up" "^#include \"engine/($(echo "$@" | tr ' ' '|'))/" engine/$low/*.[ch]
}

forbid "the engine includes lua, tui or curses" '^#include [<"](lua|lauxlib|lualib|tui/|.*curses)' engine/*.h engine/*/*.[ch]
forbid "lua looks up at tui" '^#include [<"]tui/' lua/*.[ch]
forbid "only term_curses.c includes curses" '^#include [<"].*curses' $(ls tui/*.[ch] tui/*/*.[ch] lua/*.[ch] | grep -v term_curses.c)
forbid "tui and lua use the public header only" '^#include "engine/(base|gguf|quant|kernels|vocab|graph|model|train|run|sample|tools|cuda)/' tui/*.[ch] tui/*/*.[ch] lua/*.[ch]

up base gguf quant kernels vocab graph model train run sample tools
up gguf kernels vocab graph model train run sample tools
up quant kernels vocab graph model train run sample tools
up kernels vocab graph model train run sample tools
up vocab kernels graph model train run sample tools
up graph model train run sample tools
up model train run sample tools
up train run sample tools
up run train tools
up sample run train tools

forbid "the engine prints, exits or takes signals" '(^|[^a-z_])(printf|puts|perror|exit|abort|signal|sigaction|assert_perror) *\(' engine/*/*.c
forbid "left open" '(TODO|FIXME|XXX|HACK)' $(git ls-files 'engine/*' 'tui/*' 'lua/*' 'labs/*' 'curriculum/*' | grep -E '\.(c|h|lua|md)$')
[ $bad = 0 ] && echo "lint: the arrows point down"
exit $bad
