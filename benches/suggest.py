#!/usr/bin/env python3
"""Measures what `vae96 suggest` is worth: labels that it chose beside labels drawn at random.

    vae96 pretrain --data DATA --out RUN
    python3 benches/suggest.py --data DATA --from RUN

DATA is a data set whose supervised/train holds many images of every class. They become a pool
without labels, in which `suggest` chooses; what class an image is of, this script alone knows.
The classifier is fine-tuned from RUN on the chosen images, and on as many drawn at random, and
evaluated on DATA's validation images. Only Python's standard library and the built program are
needed.
"""

import argparse
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RANDOM = "random"


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="a data set, unpacked")
    parser.add_argument("--from", dest="run", type=Path, required=True, help="a pre-training")
    parser.add_argument("--per-class", type=int, nargs="+", default=[1, 4], metavar="N",
                        help="budgets: N images for each class there is (default 1 4)")
    parser.add_argument("--methods", nargs="+", default=["k-means", "typical", "core-set"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--pool", type=int, default=0, metavar="N",
                        help="images of the pool, drawn at random (default all)")
    parser.add_argument("--finetune", type=shlex.split, default=[], metavar="OPTIONS",
                        help="options of `vae96 finetune`, as one word: --finetune='--epochs 5'")
    parser.add_argument("--work", type=Path, help="keep what is made here (default: nothing)")
    parser.add_argument("--vae96", default=ROOT / "target/release/vae96", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def place(source, target):
    """The file at another place, without a copy where the file system allows it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def make_pool(data, folder, limit):
    """Lays the labelled images out without their labels, and gives back the class of each file."""
    files = [
        (file, of_class.name)
        for of_class in sorted((data / "supervised/train").iterdir())
        for file in sorted(of_class.iterdir())
    ]
    random.Random(0).shuffle(files)
    truth = {}
    for number, (file, name) in enumerate(files[: limit or None]):
        target = folder / "unsupervised/all" / f"{number:06d}{file.suffix}"
        place(file, target)
        truth[target] = name
    return truth


def vae96(program, *words):
    command = [str(program), *map(str, words), "--json", "--quiet"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout)


def choose(args, method, count, seed, pool, truth):
    """The files to label."""
    if method == RANDOM:
        return random.Random(seed).sample(sorted(truth), count)
    found = vae96(args.vae96, "suggest", "--from", args.run, "--data", pool, "--count", count,
                  "--method", method, "--seed", seed)
    return [Path(image["file"]) for image in found["images"]]


def accuracy(args, chosen, seed, classes, truth, folder):
    """Top-1 accuracy of a classifier that learnt from the chosen images."""
    for name in classes:
        (folder / "supervised/train" / name).mkdir(parents=True)
    for file in chosen:
        place(file, folder / "supervised/train" / truth[file] / file.name)
    val = (args.data / "supervised/val").resolve()
    (folder / "supervised/val").symlink_to(val, target_is_directory=True)
    found = vae96(args.vae96, "finetune", "--from", args.run, "--data", folder,
                  "--labels-per-class", 0, "--seed", seed, "--out", folder / "run",
                  *args.finetune)
    return found["top1"]


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def measure(args, work):
    pool = work / "pool"
    truth = make_pool(args.data, pool, args.pool)
    classes = sorted(set(truth.values()))
    results = []
    for per_class in args.per_class:
        count = per_class * len(classes)
        top1, hit = {}, {}
        for seed in args.seeds:
            for method in [RANDOM, *args.methods]:
                chosen = choose(args, method, count, seed, pool, truth)
                folder = work / f"{method}-{count}-{seed}"
                top1.setdefault(method, []).append(
                    accuracy(args, chosen, seed, classes, truth, folder))
                hit.setdefault(method, []).append(len({truth[file] for file in chosen}))
        for method in top1:
            pairs = zip(top1[method], top1[RANDOM])
            results.append({
                "count": count, "method": method, "seeds": args.seeds, "top1": top1[method],
                "over_random": [ours - theirs for ours, theirs in pairs],
                "classes_hit": hit[method], "classes": len(classes),
            })
    return results


def table(results):
    lines = ["| labels | chosen by | top-1, % | over random, points | classes hit |",
             "| --- | --- | --- | --- | --- |"]
    for row in results:
        def percent(values, sign=""):
            mean, spread = statistics.mean(values), deviation(values)
            return f"{100 * mean:{sign}.1f} ± {100 * spread:.1f}"
        over = "" if row["method"] == RANDOM else percent(row["over_random"], "+")
        hit = f"{statistics.mean(row['classes_hit']):.1f} of {row['classes']}"
        lines.append(f"| {row['count']} | {row['method']} | {percent(row['top1'])} | {over} | {hit} |")
    return "\n".join(lines)


def main():
    args = arguments()
    if args.work:
        args.work.mkdir(parents=True)
        results = measure(args, args.work.resolve())
    else:
        with tempfile.TemporaryDirectory() as work:
            results = measure(args, Path(work).resolve())
    print(json.dumps({"results": results}) if args.json else table(results))


if __name__ == "__main__":
    main()
