#!/usr/bin/env bash
# Instructions of every layer of `edge` on emulated Cortex-M4, M0+ and M55, beside CMSIS-NN's.
#
#     bash benches/cortex_m.sh [--json]
#
# Installs QEMU and the Arm binutils where they are missing. Fails where an answer is not that of
# plain loops.
set -euo pipefail
cd "$(dirname "$0")/cortex_m"

need() {
    command -v "$1" >/dev/null && return
    local sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends "$2" >&2
}
need qemu-system-arm qemu-system-arm
need arm-none-eabi-nm binutils-arm-none-eabi
need cc build-essential

mkdir -p target
cc -O2 -Wall -Wextra -fPIC -shared -o target/plugin.so plugin.c

# measure CORE TARGET MACHINE [FLAGS]
measure() {
    local core=$1 target=$2 machine=$3 flags=${4:-}
    rustup target add "$target" >/dev/null 2>&1 || true
    # This mangling names the layers.
    RUSTFLAGS="-C symbol-mangling-version=v0 $flags" \
        cargo build --quiet --release --locked --target "$target" >&2
    local elf=target/$target/release/cortex_m_bench
    local marks
    marks=$(arm-none-eabi-nm -C "$elf" | python3 table.py marks)
    qemu-system-arm -M "$machine" -nographic -monitor none -serial none \
        -semihosting-config enable=on,target=native \
        -plugin "target/plugin.so,core=$core,$marks" -d plugin -kernel "$elf" >"target/$core.log" 2>&1 ||
        { cat "target/$core.log" >&2; exit 1; }
}
measure m4 thumbv7em-none-eabihf mps2-an386
measure m0 thumbv6m-none-eabi mps2-an385
measure m55 thumbv8m.main-none-eabihf mps3-an547 '-C target-cpu=cortex-m55'
python3 table.py "${1:-}"
