#!/usr/bin/env bash
# Builds for a bare-metal target, from the crate in the current directory:
#
#     core/examples/build-target.sh TARGET [cargo build arguments]
#
# The precompiled `core` of rustup is used where it can be had. Elsewhere, or with FORCE_DEBIAN=1,
# Debian's compiler builds `core` from source: rustc-web, cargo-web, rust-web-src and lld are
# installed, and the output goes to target/debian/TARGET instead of target/TARGET.
set -euo pipefail

target=${1:?usage: build-target.sh TARGET [cargo build arguments]}
shift

if [ -z "${FORCE_DEBIAN:-}" ] && rustup target add "$target" >/dev/null 2>&1; then
    exec cargo build --target "$target" "$@"
fi

if [ ! -d /usr/lib/rustlib/src/rust/library ] || ! command -v ld.lld >/dev/null; then
    sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends \
        rustc-web cargo-web rust-web-src lld >&2
fi
# The packages bring no rust-lld, so the linker is named; and only Debian's own `core` source
# belongs to Debian's compiler, which needs leave to build it.
variable=$(tr 'a-z.-' 'A-Z__' <<<"$target")
exec env PATH=/usr/bin:/bin RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
    "CARGO_TARGET_${variable}_LINKER=ld.lld" \
    "CARGO_TARGET_${variable}_RUSTFLAGS=-C linker-flavor=ld.lld" \
    /usr/bin/cargo build -Z build-std=core --target "$target" \
    --target-dir "${CARGO_TARGET_DIR:-target}/debian" "$@"
