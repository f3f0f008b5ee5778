#!/usr/bin/env bash
# Builds the firmware example for emulated Cortex-M machines, runs it there, and says of each
# whether it passed: it ran to its end, within the stack that the README states, and said of the
# frames what the host says.
#
#     core/examples/run.sh [MACHINE...]        all of them unless told otherwise
#
# VAE96_MODEL=FILE runs another model than the example's own; what it says is printed alone.
set -euo pipefail
. "$(dirname "$0")/machines.sh"

most_stack=1280

machines=("$@")
if [ ${#machines[@]} -eq 0 ]; then
    machines=(microbit mps2-an385 mps2-an386 mps2-an500 mps2-an505)
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# Whether a run's output is as it should be.
is_right() {
    local stack
    stack=$(sed -n 's/^stack \([0-9]*\) .*/\1/p' "$output")
    if [ "$stack" -gt $most_stack ]; then
        echo "more stack than $most_stack bytes"
        return 1
    fi
    [ -n "${VAE96_MODEL:-}" ] || grep '^frame' "$output" | diff "$examples/firmware/frames/report.txt" -
}

failed=()
for machine in "${machines[@]}"; do
    describe "$machine"
    echo "$machine (Cortex-$core, $target)"
    elf=$(build "$machine" firmware firmware)
    status=0
    emulate "$machine" "$elf" >"$output" || status=$?
    cat "$output"
    if [ $status -eq 0 ] && is_right; then
        echo pass
    else
        echo FAIL
        failed+=("$machine")
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "run.sh: failed on ${failed[*]}" >&2
    exit 1
fi
