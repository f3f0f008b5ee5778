#!/usr/bin/env bash
# Builds the C examples against the static library and runs them, on this computer and on an
# emulated Cortex-M4 and M3; logits and similarities are compared with the host's:
#
#     core/c/run.sh
#
# QEMU and the compilers are installed where they are missing.
set -euo pipefail
c=$(cd "$(dirname "$0")" && pwd)
. "$c/../examples/machines.sh"
cd "$c/../.."

fixtures=$PWD/tests/fixtures
model=$fixtures/edge-conv.v96
encoder=$fixtures/edge-deep-encoder
files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

command -v cc >/dev/null || install gcc libc6-dev
command -v arm-none-eabi-gcc >/dev/null && [ -e /usr/lib/arm-none-eabi/newlib/libc.a ] ||
    install gcc-arm-none-eabi libnewlib-arm-none-eabi

flags=(-std=c11 -O2 -Wall -Wextra -Werror)

# What model.S brings into a program.
declare -A files_of=(
    [classify]="-DMODEL=\"$model\""
    [refusals]="-DMODEL=\"$model\""
    [teach]="-DMODEL=\"$encoder.v96\" -DCALIBRATED=\"$encoder.p96\""
)

# The library in a cargo target's folder of outputs.
library() {
    "$examples/build-target.sh" "$1" -p vae96-c --profile device --quiet \
        --message-format=json-render-diagnostics | sed -n 's/.*"filenames":\["\([^"]*libv96\.a\)".*/\1/p'
}

# checks COMMAND...: runs the programs by COMMAND PROGRAM ARGUMENTS.
checks() {
    "$@" "$files/refusals"
    for program in classify teach; do
        "$@" "$files/$program" "$files/images" "$files/answers"
        cmp "$files/$program.expected" "$files/answers" || {
            echo "run.sh: $program answers unlike the host" >&2
            exit 1
        }
    done
}

cargo run -q -p tests --bin scenes -- "$files/images"
cargo run -q -p tests --bin answers -- "$model" "$files/images" "$files/classify.expected"
cargo run -q -p tests --bin taught -- "$encoder.v96" "$encoder.p96" "$files/images" \
    "$files/teach.expected"

echo 'this computer'
archive=$(library "$(rustc -vV | sed -n 's/^host: //p')")
for program in "${!files_of[@]}"; do
    # shellcheck disable=SC2086 # no path of ours has a space in it
    cc "${flags[@]}" ${files_of[$program]} -o "$files/$program" "$c/example/$program.c" "$c/example/model.S" \
        "$archive" -lpthread -ldl -lm
done
checks env

for machine in mps2-an386 mps2-an385; do
    describe "$machine"
    echo "$machine (Cortex-$core)"
    case $core in
    M4F) arch=(-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16) ;;
    M3) arch=(-mcpu=cortex-m3 -mfloat-abi=soft) ;;
    esac
    archive=$(library "$target")
    for program in "${!files_of[@]}"; do
        arm-none-eabi-gcc "${flags[@]}" ${files_of[$program]} "${arch[@]}" -mthumb -ffunction-sections -fdata-sections \
            --specs=rdimon.specs -T "$c/example/mps2.ld" -Wl,--gc-sections -Wl,-z,noexecstack -o "$files/$program" \
            "$c/example/$program.c" "$c/example/model.S" "$c/example/start.c" "$archive"
        if nm -C "$files/$program" | grep -E 'panicking|rust_begin_unwind'; then
            echo "run.sh: $program can panic" >&2
            exit 1
        fi
    done
    checks emulate "$machine"
done
