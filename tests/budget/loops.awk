# loops.awk - the hot loop of each function in a disassembly (objdump -d --no-show-raw-insn).
#
# A loop is what lies between a backward jump and its target; only innermost ones count. The hot one of a function is that with the most
# multiply-adds: byte products (vpdpbusd) if any loop has them, otherwise float ones (vfmadd...). Prints
#
#   FUNCTION vpdpbusd|vfmadd INSTRUCTIONS MULTIPLY-ADDS
#
# for each function that has one, the counts being those of one turn of the loop.

function leave_function(    i, j, l, inner, n, best, best_n, best_start, marker, pass) {
    for (pass = 0; pass < 2; pass++) {
        marker = pass == 0 ? "vpdpbusd" : "vfmadd"
        best_n = 0
        for (i = 1; i <= n_loops; i++) {
            inner = 1
            for (j = 1; j <= n_loops; j++) if (j != i && start[i] <= start[j] && end[start[j]] <= end[start[i]]) inner = 0
            if (!inner) continue
            n = 0
            for (l = start[i]; l <= end[start[i]]; l++) n += index(op[l], marker) == 1
            if (n > best_n) { best_n = n; best_start = start[i] }
        }
        if (best_n) { print name, marker, end[best_start] - best_start + 1, best_n; break }
    }
    split("", line_at); split("", end); split("", start); split("", op)
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
