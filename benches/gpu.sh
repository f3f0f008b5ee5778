#!/usr/bin/env bash
# Everything that needs a GPU, in one run and in the order of what it tells most: comparisons of all
# kernels, training steps beside PyTorch, kernels beside their floors, compute-sanitizer. Each step's
# output goes to a file of its own as it comes, so that a run that is cut short keeps what it has.
#
#   bash benches/gpu.sh [FOLDER]        # target/gpu unless told otherwise
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/gpu}
failed=()

if ! nvidia-smi > /dev/null 2>&1; then
    echo "benches/gpu.sh: nvidia-smi finds no GPU here" >&2
    exit 1
fi
mkdir -p "$out" || exit 1
nvidia-smi > "$out/machine.txt"
git rev-parse HEAD >> "$out/machine.txt"

step() {
    local name=$1
    shift
    printf '%-16s ' "$name"
    local begin=$SECONDS
    if "$@" > "$out/$name.txt" 2>&1; then
        echo "$((SECONDS - begin)) s"
    else
        echo "failed after $((SECONDS - begin)) s: $out/$name.txt"
        failed+=("$name")
    fi
}

tests=(cargo test --release -p tests --features gpu --test cuda_device --test cuda_memory)
# All networks at once, for which a large GPU has the memory.
torch=(python3 benches/torch_step.py --json --device cuda --steps 50 --rounds 3 --at-once)
large=(--batch 512 --networks edge_vae paper_vae --ways channels_last compiled)

step tests "${tests[@]}" -- --nocapture
step bf16 "${torch[@]}" --precision bf16
step bf16-512 "${torch[@]}" --precision bf16 "${large[@]}"
step kernels-paper python3 benches/gpu_kernels.py paper_vae --batch 128
step kernels-edge python3 benches/gpu_kernels.py edge_vae --batch 512
for precision in tf32 f32; do
    step "$precision" "${torch[@]}" --precision "$precision" --ways channels_last compiled
done

# Products one by one, then a few steps: racecheck takes minutes for what memcheck does in half of one.
binary=$("${tests[@]}" --no-run 2>&1 | sed -n 's/.*(\(.*cuda_device[^)]*\))$/\1/p')
step memcheck compute-sanitizer --tool memcheck --error-exitcode 1 "$binary" products
sanitised_steps() {
    echo 0 | compute-sanitizer --tool "$1" --error-exitcode 1 target/release/train_step "$2" \
        --batch 16 --device cuda --precision bf16
}
for network in edge_vae edge_classifier paper_classifier; do
    for tool in initcheck racecheck; do
        step "$tool-$network" sanitised_steps "$tool" "$network"
    done
done

if ((${#failed[@]})); then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
