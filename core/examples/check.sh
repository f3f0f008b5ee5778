#!/usr/bin/env bash
# Checks on emulated machines what the crate promises of itself:
#
#     core/examples/check.sh
#
# - the logits of 100 images are those of the host, every byte, in every layout of weights, and so
#   is what is said of 88 images of classes that the other 12 teach;
# - memory is what `vae96 inspect` says;
# - wrong input is refused by name;
# - nothing can panic, and the proof of it finds a panic that is put in.
set -euo pipefail
. "$(dirname "$0")/machines.sh"
cd "$examples/../.."

files=$(mktemp -d)
trap 'rm -rf "$files"' EXIT

fail() {
    echo "check.sh: $*" >&2
    exit 1
}

# parity MODEL LAYOUT MACHINE...
parity() {
    local model=$files/$1-$2.v96 machine elf
    cargo run -q -p tests --bin ordered -- "$PWD/tests/fixtures/$1.v96" "$2" "$model"
    shift 2
    cargo run -q -p tests --bin answers -- "$model" "$files/images" "$files/expected"
    for machine in "$@"; do
        elf=$(VAE96_MODEL=$model build "$machine" firmware firmware)
        COUNT=0 emulate "$machine" "$elf" "$files/images" "$files/answers" >"$files/output"
        cmp "$files/expected" "$files/answers" || fail "$machine answers unlike the host"
        echo "$(basename "$model") on $machine: $(stat -c %s "$files/answers") logits of" \
            "$(sed -n 's/^images //p' "$files/output") images as on the host"
        memory "$model" "$elf"
    done
}

# memory MODEL ELF: what the program printed of itself beside what `inspect` says.
memory() {
    local inspected flash ram
    inspected=$(cargo run -q -p host -- inspect "$1" | head -1)
    flash=$(sed 's/.* \([0-9]*\) bytes of flash.*/\1/' <<<"$inspected")
    ram=$(sed 's/.* \([0-9]*\) bytes of RAM.*/\1/' <<<"$inspected")
    grep -q "^model $flash bytes" "$files/output" || fail "inspect says $flash bytes of flash"
    grep -q "^classifier $ram bytes" "$files/output" || fail "inspect says $ram bytes of RAM"
    echo "  as inspect says: $flash bytes of flash, $ram bytes of RAM"
}

cargo run -q -p tests --bin scenes -- "$files/images"
parity edge-conv portable mps2-an385-m0 mps2-an386
parity edge-conv packed mps2-an385-m0 mps2-an385 mps2-an386 mps2-an500 mps2-an505
MEMORY=mps2-36k parity edge-conv winograd mps2-an385 mps2-an386 mps2-an500
parity edge-dense packed mps2-an386

encoder=$PWD/tests/fixtures/edge-deep-encoder
cargo run -q -p tests --bin taught -- "$encoder.v96" "$encoder.p96" "$files/images" "$files/expected"
for machine in mps2-an385-m0 mps2-an385 mps2-an386 mps2-an500 mps2-an505; do
    elf=$(build "$machine" firmware teach)
    COUNT=0 emulate "$machine" "$elf" "$files/images" "$files/answers" >"$files/output"
    cmp "$files/expected" "$files/answers" || fail "$machine is taught otherwise than the host"
    echo "taught classes on $machine: those of the host, and so are the similarities of" \
        "$(sed -n 's/^images //p' "$files/output") images"
done

for machine in mps2-an385 mps2-an386; do
    echo "$machine: $(emulate "$machine" "$(build "$machine" checks refusals)")"
done

for machine in microbit mps2-an385 mps2-an386 mps2-an505; do
    elf=$(build "$machine" checks no_panic)
    ! nm -C "$elf" | grep -E 'panicking|rust_begin_unwind' || fail "$machine: $elf can panic"
    if build "$machine" checks no_panic --features panic 2>"$files/link"; then
        fail "$machine: a panic that was put in was not found"
    fi
    grep -q 'undefined symbol: vae96_can_panic' "$files/link" || {
        cat "$files/link"
        fail "$machine: the build with a panic failed for another reason"
    }
    echo "$machine: nothing can panic"
done
