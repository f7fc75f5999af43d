# loops.awk - the hot loops of each function in a disassembly (objdump -d --no-show-raw-insn).
#
# A loop is what lies between a backward jump and its target. The hot one of a function is that with the most multiply-adds, of those that
# contain no other loop with any: byte products (vpdpbusd) if there are, or bfloat16 ones (vdpbf16ps), otherwise float ones (vfmadd). A function of both decode and
# prefill has another, which unpacks weights into tiles; there the last step of the transposition (vperm2i128) stands for 32 weights.
# Prints, by name, the counts being those of one turn of the loop,
#
#   FUNCTION vpdpbusd|vdpbf16ps|vfmadd|vperm2i128 INSTRUCTIONS HOW-MANY-OF-THOSE

function marked(i,    l, n) {
    for (l = start[i]; l <= end[start[i]]; l++) n += index(op[l], marker) == 1
    return n + 0
}
function holds_another(i,    j) {
    for (j = 1; j <= n_loops; j++) if (j != i && start[i] <= start[j] && end[start[j]] <= end[start[i]] && count[j]) return 1
    return 0
}
function hot(marker_wanted,    i, best) {
    marker = marker_wanted
    for (i = 1; i <= n_loops; i++) count[i] = marked(i)
    for (i = 1; i <= n_loops; i++) if (count[i] && !holds_another(i) && (!best || count[i] > count[best])) best = i
    if (best) print name, marker, end[start[best]] - start[best] + 1, count[best] | "LC_ALL=C sort"
    return best
}
function leave_function() {
    sub(/\..*/, "", name)                             # .isra.0, .part.0: the compiler's variants
    if (!hot("vpdpbusd") && !hot("vdpbf16ps")) hot("vfmadd")
    hot("vperm2i128")
    split("", line_at); split("", end); split("", start); split("", op); split("", count)
    n_loops = n_lines = 0
}

/^[0-9a-f]+ <.*>:$/ { leave_function(); name = substr($2, 2, length($2) - 3); next }

/^ *[0-9a-f]+:\t/ {
    address = $1; sub(/:/, "", address)
    line_at[address] = ++n_lines
    op[n_lines] = $2
    if ($2 ~ /^j/ && ($3 in line_at)) {               # seen already: a jump backward
        target = line_at[$3]
        if (!(target in end)) start[++n_loops] = target
        end[target] = n_lines                         # several jumps to one target (continue) are one loop
    }
}

END { leave_function() }
