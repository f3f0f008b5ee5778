#!/usr/bin/env bash
# The tests of `core` on an emulated AArch64 computer, whose kernels they hold to the portable ones:
#
#     tests/aarch64.sh
#
# Needs rustup. Installs Debian's cross compiler and emulator where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
rustup target add $target
if ! command -v aarch64-linux-gnu-gcc >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -q
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends \
        gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
fi

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu'
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --target $target -p vae96 --features std --lib --test engine -- --nocapture | tee "$log"
if grep -q 'not compared' "$log"; then
    echo "the emulated processor's dot product was not found"
    exit 1
fi
