"""Images a second of int8 inference on one core, ours beside ONNX Runtime's and TensorFlow Lite's.

    python3 benches/inference.py --json

All run the same `edge` classifier, exported from one run (--run; without it one is trained for a
moment on the built-in scenes), one image at a time on one thread and one core, in turn, round after
round. A figure is the median over the rounds of each round's median; ratios are ours to theirs.
TensorFlow Lite runs with XNNPACK, its default. ONNX Runtime's file takes float images and quantises
them itself; the others take bytes.

The peers are installed from PyPI into target/exports-venv (Python 3.10 to 3.12).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from torch_step import Child

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["ai-edge-litert==1.2.0", "numpy==1.26.4", "onnxruntime==1.22.1"]
WARM_UP = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--run", help="the run whose classifier is exported")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=300, help="images a round")
    parser.add_argument("--core", type=int, default=0, help="the core that all run on")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(*args.serve)
        return
    python = install()
    build = ["cargo", "build", "--release", "-p", "host", "-p", "benches", "--bins"]
    subprocess.run(build, cwd=ROOT, check=True, stdout=sys.stderr)
    release = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    os.sched_setaffinity(0, {args.core})
    with tempfile.TemporaryDirectory() as work:
        files = export(release / "vae96", args.run, Path(work))
        found = measure(release / "infer", python, files, args)
    if args.json:
        print(json.dumps(found))
        return
    for name, rate in found.items():
        print(f"{name}: {rate:.0f} images/s, ours {found['ours'] / rate:.2f} times as many")


def install():
    folder = ROOT / "target" / "exports-venv"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    subprocess.run(pip, check=True, stdout=sys.stderr)
    return str(python)


def export(program, run, work):
    if run is None:
        run = work / "run"
        short = ["--unlabelled", "256", "--labels-per-class", "8", "--pretrain-epochs", "1",
                 "--finetune-epochs", "1", "--consistency", "0"]
        command = [program, "run", "--quiet", "--out", run, *short]
        subprocess.run(command, check=True, stdout=sys.stderr)
    files = {}
    for form, ending in [("v96", "v96"), ("onnx-int8", "onnx"), ("tflite", "tflite")]:
        files[form] = str(work / f"model.{ending}")
        command = [program, "export", run, "--quiet", "--format", form, "--out", files[form]]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return files


def measure(infer, python, files, args):
    commands = {
        "ours": [infer, files["v96"]],
        "portable": [infer, files["v96"], "--portable"],
        "onnxruntime": [python, __file__, "--serve", "onnxruntime", files["onnx-int8"]],
        "xnnpack": [python, __file__, "--serve", "xnnpack", files["tflite"]],
    }
    children = {name: Child(command, os.environ) for name, command in commands.items()}
    for child in children.values():
        child.steps(0)
    rounds = {name: [] for name in children}
    for number in range(args.rounds):
        for name, child in children.items():
            rounds[name].append(statistics.median(child.steps(args.images)))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    for child in children.values():
        child.close()
    return {name: 1e3 / statistics.median(times) for name, times in rounds.items()}


def serve(peer, path):
    """A peer's side of a Child."""
    classify = {"onnxruntime": onnxruntime, "xnnpack": xnnpack}[peer](path)
    for _ in range(WARM_UP):
        classify()
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            classify()
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps({"ms": times, "peak_mb": None}), flush=True)


def onnxruntime(path):
    import numpy
    import onnxruntime as peer

    options = peer.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = peer.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    images = {session.get_inputs()[0].name: numpy.random.rand(1, 3, 96, 96).astype("float32")}
    return lambda: session.run(None, images)


def xnnpack(path):
    import numpy
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=1)
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    image = numpy.random.randint(-128, 128, (1, 96, 96, 3)).astype("int8")

    def classify():
        interpreter.set_tensor(index, image)
        interpreter.invoke()

    return classify


if __name__ == "__main__":
    main()
