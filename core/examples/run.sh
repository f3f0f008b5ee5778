#!/usr/bin/env bash
# Builds the firmware examples for emulated Cortex-M machines, runs them there, and says of each
# whether it passed: it ran to its end, within the stack that the README states, and said of the
# frames what the host says. `teach` does not fit the microbit.
#
#     core/examples/run.sh [MACHINE...]        all of them unless told otherwise
#
# VAE96_MODEL=FILE runs `firmware` alone, with another model than its own; what it says is printed
# only.
set -euo pipefail
. "$(dirname "$0")/machines.sh"

# The most stack of each program, in bytes.
declare -A most_stack=([firmware]=1280 [teach]=1792)

machines=("$@")
if [ ${#machines[@]} -eq 0 ]; then
    machines=(microbit mps2-an385 mps2-an386 mps2-an500 mps2-an505)
fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# is_right PROGRAM REPORT: whether a run's output is as it should be.
is_right() {
    local stack
    stack=$(sed -n 's/^stack \([0-9]*\) .*/\1/p' "$output")
    if [ "$stack" -gt "${most_stack[$1]}" ]; then
        echo "more stack than ${most_stack[$1]} bytes"
        return 1
    fi
    [ -n "${VAE96_MODEL:-}" ] || grep '^frame' "$output" | diff "$examples/firmware/frames/$2" -
}

# run MACHINE PROGRAM REPORT
run() {
    local elf status=0
    echo "$1 (Cortex-$core, $target): $2"
    elf=$(build "$1" firmware "$2")
    emulate "$1" "$elf" >"$output" || status=$?
    cat "$output"
    if [ $status -eq 0 ] && is_right "$2" "$3"; then
        echo pass
    else
        echo FAIL
        failed+=("$2 on $1")
    fi
}

failed=()
for machine in "${machines[@]}"; do
    describe "$machine"
    run "$machine" firmware report.txt
    if [ "$machine" != microbit ] && [ -z "${VAE96_MODEL:-}" ]; then
        run "$machine" teach taught.txt
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "run.sh: failed: ${failed[*]}" >&2
    exit 1
fi
