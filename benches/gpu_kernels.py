"""What each kernel of a training step takes on this machine's GPU, and how near it is to the memory's floor.

    python3 benches/gpu_kernels.py edge_vae --batch 128

Nsight Compute (`ncu`, of the CUDA toolkit) counts the time and the bytes of memory of every kernel of one
step, with what the kernels before left in the cache. The floor of a kernel is its bytes at the rate
at which the GPU copies memory (--terabytes-s, both directions counted); bytes that stay in the L2 cache are not
counted, so a small kernel may have none. Kernels of the same name are added up.
"""

import argparse
import collections
import csv
import json
import subprocess
import sys
from pathlib import Path

from torch_step import BATCH, build

TIME = "gpu__time_duration.sum"
BYTES = ["dram__bytes_read.sum", "dram__bytes_write.sum"]
UNITS = {"ns": 1e-3, "us": 1, "ms": 1e3, "byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9}
# A step ends with the optimiser.
LAST = "adam"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=BATCH)
    parser.add_argument("--batch", type=int, help="images a step (default: the network's own)")
    parser.add_argument("--precision", default="bf16", choices=["f32", "tf32", "bf16"])
    parser.add_argument("--terabytes-s", type=float, default=4.3, help="the GPU's copies (an H200's)")
    parser.add_argument("--program", help="a train_step that is built already")
    parser.add_argument("--report", help="ncu's CSV of an earlier call, instead of a new one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def main():
    args = arguments()
    text = Path(args.report).read_text() if args.report else profile(args)
    kernels = step(parse(text))
    rows = collections.defaultdict(lambda: {"launches": 0, "us": 0.0, "megabytes": 0.0})
    for kernel in kernels:
        row = rows[kernel["name"]]
        row["launches"] += 1
        row["us"] += kernel[TIME]
        row["megabytes"] += sum(kernel[name] for name in BYTES) / 1e6
    total = {key: sum(row[key] for row in rows.values()) for key in ["launches", "us", "megabytes"]}
    rows = dict(sorted(rows.items(), key=lambda item: -item[1]["us"]), total=total)
    for row in rows.values():
        row["floor_us"] = row["megabytes"] / args.terabytes_s
        row["share"] = row["floor_us"] / row["us"]
    if args.json:
        print(json.dumps(rows))
        return
    print("| kernel | launches | µs | MB of memory | floor, µs | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        print(f"| {name} | {row['launches']} | {row['us']:.0f} | {row['megabytes']:.0f} | "
              f"{row['floor_us']:.0f} | {row['share']:.2f} |")


def profile(args):
    program, batch = args.program or build(), args.batch or BATCH[args.network]
    command = ["ncu", "--clock-control", "none", "--cache-control", "none", "--csv",
               "--metrics", ",".join([TIME, *BYTES]), program, args.network, "--batch",
               str(batch), "--device", "cuda", "--precision", args.precision]
    try:
        done = subprocess.run(command, input="1\n", text=True, stdout=subprocess.PIPE)
    except FileNotFoundError:
        sys.exit("ncu, Nsight Compute's command line, is not in the path; the CUDA toolkit has it")
    if done.returncode != 0:
        sys.exit(f"ncu ended with {done.returncode}: {done.stdout[-1000:]}")
    return done.stdout


def parse(text):
    """The kernels in their order: name, µs and bytes."""
    lines = [line for line in text.splitlines() if line.startswith('"')]
    kernels = {}
    for row in csv.DictReader(lines):
        kernel = kernels.setdefault(row["ID"], {"name": row["Kernel Name"].split("(")[0]})
        if row["Metric Name"] in [TIME, *BYTES]:
            value = float(row["Metric Value"].replace(",", ""))
            kernel[row["Metric Name"]] = value * UNITS[row["Metric Unit"]]
    return list(kernels.values())


def step(kernels):
    """Those of the last whole step: after one optimiser's up to the next."""
    ends = [i for i, kernel in enumerate(kernels) if kernel["name"] == LAST]
    if len(ends) < 2:
        sys.exit(f"the report has {len(ends)} launches of {LAST}; two bound a step")
    return kernels[ends[-2] + 1:ends[-1] + 1]


if __name__ == "__main__":
    main()
