# The emulated machines, for the scripts beside this file:
#
#     install PACKAGE...                 Debian packages
#     build MACHINE PROJECT PROGRAM      builds a program of firmware/ or checks/, prints its path;
#                                        MEMORY names another memory map than the machine's
#     emulate MACHINE ELF [ARGUMENT...]  runs it; the exit status is the program's
#
# `emulate` has the instructions between the marks of firmware/src/meter.rs counted in programs
# that have them, unless COUNT=0.

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

install() {
    local sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qy --no-install-recommends "$@" >&2
}

# Sets `target`, `memory` (a file in memory/), `core` and `board` (QEMU's name) for a machine.
describe() {
    board=$1
    case $1 in
    microbit) core=M0 target=thumbv6m-none-eabi memory=microbit ;;
    # The M0's code where there is room for the stack that reading files takes.
    mps2-an385-m0) core=M0 target=thumbv6m-none-eabi memory=mps2 board=mps2-an385 ;;
    mps2-an385) core=M3 target=thumbv7m-none-eabi memory=mps2 ;;
    mps2-an386) core=M4F target=thumbv7em-none-eabihf memory=mps2 ;;
    mps2-an500) core=M7 target=thumbv7em-none-eabihf memory=mps2 ;;
    mps2-an505) core=M33 target=thumbv8m.main-none-eabihf memory=mps2-an505 ;;
    *)
        echo "no such machine: $1" >&2
        return 2
        ;;
    esac
}

build() {
    local core target memory board project=$examples/$2 program=$3
    describe "$1" || return
    shift 3
    (
        cd "$project"
        export VAE96_MACHINE=${MEMORY:-$memory}
        "$examples/build-target.sh" "$target" --release --bin "$program" --quiet \
            --message-format=json-render-diagnostics "$@"
    ) | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

emulate() {
    local core target memory board elf=$2 argument
    describe "$1" || return
    shift 2
    command -v qemu-system-arm >/dev/null || install qemu-system-arm || return
    local config=enable=on,target=native
    for argument in "$(basename "$elf")" "$@"; do
        config+=,arg=$argument
    done
    local plugin=()
    if [ "${COUNT:-1}" = 1 ] && nm "$elf" | grep ' mark_begin$' >/dev/null; then
        plugin=(-plugin "$(counter),$(marks "$elf")")
    fi
    qemu-system-arm -M "$board" -nographic -monitor none -serial none \
        -semihosting-config "$config" "${plugin[@]}" -kernel "$elf"
}

# Builds the counting plugin, and prints its path.
counter() {
    local plugin=$examples/firmware/target/count.so
    if [ ! "$plugin" -nt "$examples/count.c" ]; then
        command -v cc >/dev/null || install gcc libc6-dev
        mkdir -p "$(dirname "$plugin")"
        cc -O2 -Wall -fPIC -shared -o "$plugin" "$examples/count.c"
    fi
    echo "$plugin"
}

# Where the marks are, as the plugin's arguments.
marks() {
    nm "$1" | sed -n 's/^\([0-9a-f]*\) . mark_\(begin\|end\|report\)$/\2=0x\1/p' | paste -sd,
}
