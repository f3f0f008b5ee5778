"""Times whole training steps, ours and PyTorch's, on this machine's CPU, or on its GPU.

    python3 benches/torch_step.py --json
    python3 benches/torch_step.py --json --device cuda --precision bf16

On the CPU both run the same step (forward, loss, backward, AdamW) on the same batch, in f32, on the same number
of threads, in turn: a few steps of one, a few of the other, round after round, once all have warmed up
and with a pause before each turn, since OpenMP's threads spin for a while after their work. A figure is
the median over all rounds, a ratio the median of the rounds' ratios. PyTorch runs in its default memory format,
in channels_last and through torch.compile (which needs a C++ compiler), always with its fused AdamW;
the fastest counts. Every one is a process of its own, so that its memory can be told.

On a GPU, PyTorch's images lie there and its steps are under autocast for bf16; torch.compile takes
CUDA graphs (`reduce-overhead`). Neither waits for a step before it begins the next: a figure is the
time of a turn by its steps. Take many (--steps 100). Ours has its images there too, as a training
has them once it has seen them, and brings what is seen of each. Most of the time goes to compiling: with
--at-once all networks compile at the same time.

PyTorch is installed from PyPI into benches/.venv on the first call; --python names an interpreter
that has it already.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
BATCH = {"edge_vae": 128, "edge_classifier": 64, "paper_vae": 128, "paper_classifier": 256}
CLASSES = {"edge_classifier": 10, "paper_classifier": 1000}
LATENT = {"edge_vae": 64, "paper_vae": 1024}
WAYS = ["default", "channels_last", "compiled"]
WARM_UP = 3
PAUSE_S = 0.5


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--networks", nargs="+", choices=BATCH, default=list(BATCH))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="PyTorch's ways")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32",
                        help="of the products on a GPU")
    parser.add_argument("--batch", type=int, help="images a step (default: each network's own)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps a round")
    parser.add_argument("--at-once", action="store_true",
                        help="warm all networks up at once: sooner, if there is memory for all")
    parser.add_argument("--program", help="a train_step that is built already")
    parser.add_argument("--python", help="an interpreter with torch")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.serve:
        serve(*args.serve, args)
        return
    python = args.python or install()
    program = args.program or build()
    begun = {name: begin(program, python, name, args) for name in args.networks if args.at_once}
    result = {}
    for name in args.networks:
        children = begun.get(name) or begin(program, python, name, args)
        result[name] = measure(children, name, args)
    if args.json:
        print(json.dumps(result))
        return
    for name, row in result.items():
        print(f"{name}: ours {row['ours_ms']:.0f} ms, PyTorch {row['torch_ms']:.0f} ms "
              f"({row['torch_way']}), ratio {row['ratio']:.2f}; {row['ours_images_s']:.0f} and "
              f"{row['torch_images_s']:.0f} images/s; memory of the process {row['ours_mb']:.0f} and "
              f"{row['torch_mb']:.0f} MB")


def install():
    folder = HERE / ".venv"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    found = subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL)
    if found.returncode != 0:
        pip = [python, "-m", "pip", "install", "--quiet", "torch==2.*", "numpy"]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    return str(python)


def build():
    command = ["cargo", "build", "--release", "-p", "benches", "--bin", "train_step",
               "--message-format", "json"]
    lines = subprocess.run(command, cwd=HERE.parent, check=True, stdout=subprocess.PIPE).stdout
    messages = map(json.loads, lines.splitlines())
    return next(m["executable"] for m in messages if m.get("executable"))


def begin(program, python, name, args):
    """A process of ours and one of each of PyTorch's ways, which warm up."""
    threads = str(args.threads)
    env = dict(os.environ, RAYON_NUM_THREADS=threads, OMP_NUM_THREADS=threads)
    options = ["--device", args.device, "--precision", args.precision, "--batch",
               str(batch(name, args))]
    children = {"ours": Child([program, name, *options], env)}
    for way in args.ways:
        command = [python, __file__, "--threads", threads, *options, "--serve", name, way]
        children[way] = Child(command, env)
    return children


def batch(name, args):
    return args.batch or BATCH[name]


def measure(children, name, args):
    for child in children.values():
        child.steps(0)
    rounds = []
    for number in range(args.rounds):
        found = {label: child.steps(args.steps) for label, child in children.items()}
        for label in [label for label, times in found.items() if times is None]:
            if label == "ours":
                sys.exit(f"{name}: our steps failed")
            print(f"{name}: PyTorch's way {label} failed and is left out", file=sys.stderr)
            del children[label], found[label]
        rounds.append({label: statistics.median(times) for label, times in found.items()})
        print(f"{name}: round {number + 1} of {args.rounds}: {rounds[-1]}", file=sys.stderr)
    medians = {label: statistics.median(r[label] for r in rounds) for label in children}
    ways = [way for way in args.ways if way in children]
    best = min(ways, key=medians.get)
    memory = {label: child.peak_mb for label, child in children.items()}
    for child in children.values():
        child.close()
    return {
        "ours_ms": medians["ours"],
        "torch_ms": medians[best],
        "ratio": statistics.median(r["ours"] / r[best] for r in rounds),
        "torch_way": best,
        "torch_ways_ms": {way: medians[way] for way in ways},
        "ours_mb": memory["ours"],
        "torch_mb": memory[best],
        "ours_images_s": batch(name, args) / medians["ours"] * 1e3,
        "torch_images_s": batch(name, args) / medians[best] * 1e3,
        "batch": batch(name, args),
        "device": args.device,
        "precision": args.precision,
        "threads": args.threads,
    }


class Child:
    """A process that answers numbers of steps with their times."""

    def __init__(self, command, env):
        self.process = subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.peak_mb = None

    def steps(self, count):
        """The milliseconds of so many steps; None if the process has ended."""
        time.sleep(PAUSE_S)
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self.process.stdout.readline()
        if not line:
            return None
        answer = json.loads(line)
        self.peak_mb = answer["peak_mb"]
        return answer["ms"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def serve(name, way, args):
    """PyTorch's side of a Child. Its memory is counted from where its libraries are loaded."""
    import torch

    torch.set_num_threads(args.threads)
    # TF32 is PyTorch's own choice for convolutions of f32.
    torch.set_float32_matmul_precision("highest" if args.precision == "f32" else "high")
    torch.backends.cudnn.allow_tf32 = args.precision != "f32"
    torch.backends.cudnn.benchmark = True
    before = peak_mb()
    step = Step(name, way, batch(name, args), args.device, args.precision)
    for _ in range(WARM_UP):
        step()
    for line in sys.stdin:
        times = step.time(int(line))
        print(json.dumps({"ms": times, "peak_mb": peak_mb() - before}), flush=True)


def peak_mb():
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Step:
    """A network of PyTorch's with its optimiser; a call is a step."""

    def __init__(self, name, way, count, device, precision):
        import torch

        torch.manual_seed(1)
        self.gpu = device.startswith("cuda")
        layout = torch.contiguous_format if way == "default" else torch.channels_last
        self.net = NETWORKS[name]().to(device=device, memory_format=layout)
        images = torch.rand(count, 3, 96, 96)
        self.images = images.to(device).contiguous(memory_format=layout)
        if name in LATENT:
            self.noise = torch.randn(count, LATENT[name]).to(device)
            self.loss = self.vae_loss
        else:
            self.labels = (torch.arange(count) % CLASSES[name]).to(device)
            self.loss = self.classifier_loss
        if way == "compiled":
            self.loss = torch.compile(self.loss, mode="reduce-overhead" if self.gpu else "default")
        self.autocast = torch.autocast("cuda", dtype=torch.bfloat16,
                                       enabled=self.gpu and precision == "bf16")
        parameters = list(self.net.parameters())
        groups = [
            dict(params=[p for p in parameters if p.dim() > 1], weight_decay=0.01),
            dict(params=[p for p in parameters if p.dim() == 1], weight_decay=0.0),
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-3, fused=True)

    def __call__(self):
        self.optimiser.zero_grad()
        with self.autocast:
            loss = self.loss()
        loss.backward()
        self.optimiser.step()
        return loss

    def time(self, steps):
        """The milliseconds of each of so many steps."""
        begin = time.perf_counter()
        times = []
        loss = None
        for _ in range(steps):
            start = time.perf_counter()
            loss = self()
            if not self.gpu:
                loss.item()
            times.append((time.perf_counter() - start) * 1e3)
        if self.gpu and steps:
            loss.item()
            times = [(time.perf_counter() - begin) * 1e3 / steps] * steps
        return times

    def vae_loss(self):
        encoder, mean, log_variance, decoder = self.net
        features = encoder(self.images)
        mean, log_variance = mean(features), log_variance(features)
        images = decoder(mean + self.noise * (0.5 * log_variance).exp())
        error = (images - self.images).square().sum()
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        return (error + divergence) / len(images)

    def classifier_loss(self):
        from torch.nn import functional

        logits = self.net(self.images)
        return functional.cross_entropy(logits, self.labels, label_smoothing=0.1)


def conv(inputs, outputs, kernel, stride=1, padding=0, bias=False):
    from torch import nn

    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias),
            nn.BatchNorm2d(outputs), nn.ReLU()]


def hidden(inputs, outputs, bias=False):
    from torch import nn

    return [nn.Linear(inputs, outputs, bias=bias), nn.BatchNorm1d(outputs), nn.ReLU()]


def edge_classifier():
    from torch import nn

    return nn.Sequential(*conv(3, 16, 5, 2, 2), *conv(16, 32, 3, 2, 1), *conv(32, 64, 3, 1, 1),
                         nn.MaxPool2d(2), *conv(64, 128, 3, 1, 1), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(128, CLASSES["edge_classifier"]))


def edge_vae():
    from torch import nn

    plane = 32 * 24 * 24
    encoder = nn.Sequential(*conv(3, 16, 5, 2, 2), *conv(16, 32, 3, 2, 1), nn.Flatten(),
                            *hidden(plane, 128))
    decoder = nn.Sequential(*hidden(64, 128), *hidden(128, plane), nn.Unflatten(1, (32, 24, 24)),
                            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16),
                            nn.ReLU(), nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Sigmoid())
    return nn.ModuleList([encoder, nn.Linear(128, 64), nn.Linear(128, 64), decoder])


def paper_classifier():
    from torch import nn

    return nn.Sequential(*conv(3, 9, 5, bias=True), *conv(9, 9, 5, bias=True),
                         *conv(9, 9, 5, bias=True), nn.MaxPool2d(2),
                         *conv(9, 12, 5, bias=True), nn.MaxPool2d(2), nn.Flatten(),
                         *hidden(12 * 19 * 19, 2048, bias=True),
                         nn.Linear(2048, CLASSES["paper_classifier"]))


def paper_vae():
    from torch import nn

    plane = 9 * 88 * 88
    encoder = nn.Sequential(*conv(3, 9, 5, bias=True), *conv(9, 9, 5, bias=True), nn.Flatten(),
                            *hidden(plane, 1024, bias=True))
    decoder = nn.Sequential(*hidden(1024, plane, bias=True), nn.Unflatten(1, (9, 88, 88)),
                            nn.ConvTranspose2d(9, 9, 5), nn.BatchNorm2d(9), nn.ReLU(),
                            nn.ConvTranspose2d(9, 3, 5), nn.ReLU())
    return nn.ModuleList([encoder, nn.Linear(1024, 1024), nn.Linear(1024, 1024), decoder])


NETWORKS = {"edge_vae": edge_vae, "edge_classifier": edge_classifier,
            "paper_vae": paper_vae, "paper_classifier": paper_classifier}

if __name__ == "__main__":
    main()
