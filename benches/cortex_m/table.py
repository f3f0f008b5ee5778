"""The table of benches/cortex_m.sh, from what the firmware and the plugin print."""

import json
import re
import sys

LAYERS = ["C1", "C2", "C3", "P1", "C4", "P2", "FC"]
MACS = [2_764_800, 2_654_208, 10_616_832, 0, 10_616_832, 0, 25_600]

# Instructions of CMSIS-NN (commit 99f736a6) for the same layers, 200 classes, counted in the same
# way; built by gcc 12.2 with -Ofast, on Cortex-M4 with the requantisation in inline assembly.
CMSIS_NN = {
    "m4": [9_129_719, 5_544_373, 19_441_144, 335_033, 18_271_132, 114_486, 58_164],
    "m0": [24_952_809, 18_936_457, 69_317_804, 1_442_062, 66_407_270, 350_262, 159_306],
    "m55": [2_286_084, 872_304, 2_513_623, 56_027, 2_133_519, 19_774, 15_391],
}
NAMES = {
    "m4": "Cortex-M4",
    "m4_winograd": "Cortex-M4 by Winograd's method",
    "m0": "Cortex-M0+",
    "m55": "Cortex-M55",
}

# The layouts of weights that each core's kernels are fast with, and the network that takes them.
RUNS = {
    "m4": ("m4", "packed", "Edge"),
    "m4_winograd": ("m4", "winograd", "EdgeWinograd"),
    "m0": ("m0", "portable", "Edge"),
    "m55": ("m55", "portable", "Edge"),
}
NETWORKS = ["Edge", "EdgeWinograd"]


def marks():
    """The plugin's arguments, from a list of symbols."""
    found, layers = {}, {}
    for line in sys.stdin:
        address, _, name = line.strip().split(" ", 2) if line.count(" ") > 1 else ("", "", "")
        layer = re.search(r"stream::At<.*\b(\w+), (\d+)(?:usize)?>>::step$", name)
        if layer:
            layers[NETWORKS.index(layer[1]), int(layer[2])] = address
        elif name in ("mark_begin", "mark_end"):
            found[name.removeprefix("mark_")] = address
    assert len(layers) == len(NETWORKS) * len(LAYERS), layers
    arguments = [f"{name}={address}" for name, address in sorted(found.items())]
    return ",".join(arguments + [f"at={layers[index]}" for index in sorted(layers)])


def region(core, layout, network):
    """Counts of the region that prints the layout, less an empty one's: in all, and of each layer."""
    counts, regions = None, {}
    with open(f"target/{core}.log", encoding="utf-8") as log:
        for line in log:
            words = line.split()
            if words[:1] == ["region"]:
                counts = [int(word) for word in words[1:]]
            elif len(words) == 1 and counts:
                regions[words[0]] = counts
    counts = regions[layout]
    first = 2 + 2 * len(LAYERS) * NETWORKS.index(network)
    layers = counts[first : first + 2 * len(LAYERS)]
    return [counts[0] - regions["empty"][0], counts[1] - regions["empty"][1]] + layers


def rows(core, layout, network):
    counts = region(core, layout, network)
    peers = CMSIS_NN[core]
    layers = zip(LAYERS + ["total"], MACS + [sum(MACS)], peers + [sum(peers)])
    pairs = list(zip(counts[2::2], counts[3::2])) + [(counts[0], counts[1])]
    return {
        name: {
            "macs": macs,
            "instructions": instructions,
            "cycles_modelled": cycles,
            "cmsis_nn": peer,
            "ratio": round(instructions / peer, 3),
        }
        for (name, macs, peer), (instructions, cycles) in zip(layers, pairs)
    }


def per_mac(count, macs):
    return f"{count / macs:.3f}" if macs else ""


def table(result):
    for core, layers in result.items():
        print(f"### {NAMES[core]}\n")
        print("| layer | MACs | instructions | a MAC | modelled cycles | a MAC | CMSIS-NN | ratio |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for name, row in layers.items():
            macs, count, cycles = row["macs"], row["instructions"], row["cycles_modelled"]
            print(
                f"| {name} | {macs:,} | {count:,} | {per_mac(count, macs)} | {cycles:,}"
                f" | {per_mac(cycles, macs)} | {row['cmsis_nn']:,} | {row['ratio']:.3f} |"
            )
        total = layers["total"]["instructions"]
        times = ", ".join(f"{total / mhz / 1e3:.1f} ms at {mhz} MHz" for mhz in (80, 180, 480))
        print(f"\nAt one instruction a cycle, which is a lower bound: {times}.\n")


if sys.argv[1:] == ["marks"]:
    print(marks())
else:
    result = {name: rows(*run) for name, run in RUNS.items()}
    if sys.argv[1:] == ["--json"]:
        print(json.dumps(result))
    else:
        table(result)
