"""Times whole training steps of the `edge` networks, ours and PyTorch's, on this machine's CPU.

    python3 benches/torch_step.py --json

Both run the same step (forward, loss, backward, AdamW) on the same batch, in f32, on the same number
of threads, in turn: a few steps of one, a few of the other, round after round. A figure is the median
over all rounds. PyTorch runs in its default memory format and in channels_last; the faster counts.

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
BATCH = {"edge_vae": 128, "edge_classifier": 64}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps a round")
    parser.add_argument("--python", help="an interpreter with torch")
    return parser.parse_args()


def main():
    args = arguments()
    if args.python or not has_torch():
        python = args.python or install()
        rest = [a for a in sys.argv[1:] if a != "--python" and a != args.python]
        os.execv(python, [python, __file__, *rest])
    build = ["cargo", "build", "--release", "-p", "benches", "--bin", "train_step",
             "--message-format", "json"]
    lines = subprocess.run(build, cwd=HERE.parent, check=True, stdout=subprocess.PIPE).stdout
    messages = map(json.loads, lines.splitlines())
    program = next(m["executable"] for m in messages if m.get("executable"))
    result = {name: measure(program, name, args) for name in BATCH}
    if args.json:
        print(json.dumps(result))
        return
    for name, row in result.items():
        print(f"{name}: ours {row['ours_ms']:.0f} ms, PyTorch {row['torch_ms']:.0f} ms "
              f"({row['torch_format']}), ratio {row['ratio']:.2f}")


def has_torch():
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


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


def measure(program, name, args):
    import torch

    torch.set_num_threads(args.threads)
    formats = {
        "default": Torch(name, torch.contiguous_format),
        "channels_last": Torch(name, torch.channels_last),
    }
    times = {"ours": [], **{name: [] for name in formats}}
    for round_number in range(args.rounds + 1):
        for label, step in formats.items():
            found = [step() for _ in range(args.steps)]
            if round_number > 0:
                times[label] += found
        times["ours"] += ours(program, name, args)
        print(f"{name}: round {round_number} of {args.rounds}", file=sys.stderr)
    medians = {label: statistics.median(found) for label, found in times.items()}
    best = min(formats, key=medians.get)
    return {
        "ours_ms": medians["ours"],
        "torch_ms": medians[best],
        "ratio": medians["ours"] / medians[best],
        "torch_format": best,
        "ours_min_ms": min(times["ours"]),
        "torch_min_ms": min(min(times[label]) for label in formats),
        "batch": BATCH[name],
        "threads": args.threads,
        "torch": torch.__version__,
    }


def ours(program, name, args):
    command = [program, name, "--batch", str(BATCH[name]), "--steps", str(args.steps)]
    env = dict(os.environ, RAYON_NUM_THREADS=str(args.threads))
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout
    return json.loads(out)["ms"]


class Torch:
    """A network of PyTorch's with its optimiser; a call is a step, and returns milliseconds."""

    def __init__(self, name, memory_format):
        import torch

        self.vae = name == "edge_vae"
        self.net = (vae() if self.vae else classifier()).to(memory_format=memory_format)
        count = BATCH[name]
        self.images = torch.rand(count, 3, 96, 96).contiguous(memory_format=memory_format)
        self.noise = torch.randn(count, 64)
        self.labels = torch.arange(count) % 10
        parameters = list(self.net.parameters())
        groups = [
            dict(params=[p for p in parameters if p.dim() > 1], weight_decay=0.01),
            dict(params=[p for p in parameters if p.dim() == 1], weight_decay=0.0),
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-3)

    def __call__(self):
        start = time.perf_counter()
        self.optimiser.zero_grad()
        loss = self.vae_loss() if self.vae else self.classifier_loss()
        loss.backward()
        self.optimiser.step()
        loss.item()
        return (time.perf_counter() - start) * 1e3

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


def conv(inputs, outputs, kernel, stride, padding):
    from torch import nn

    return [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outputs), nn.ReLU()]


def hidden(inputs, outputs):
    from torch import nn

    return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]


def classifier():
    from torch import nn

    return nn.Sequential(*conv(3, 16, 5, 2, 2), *conv(16, 32, 3, 2, 1), *conv(32, 64, 3, 1, 1),
                         nn.MaxPool2d(2), *conv(64, 128, 3, 1, 1), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(128, 10))


def vae():
    from torch import nn

    plane = 32 * 24 * 24
    encoder = nn.Sequential(*conv(3, 16, 5, 2, 2), *conv(16, 32, 3, 2, 1), nn.Flatten(),
                            *hidden(plane, 128))
    decoder = nn.Sequential(*hidden(64, 128), *hidden(128, plane), nn.Unflatten(1, (32, 24, 24)),
                            nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16),
                            nn.ReLU(), nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Sigmoid())
    return nn.ModuleList([encoder, nn.Linear(128, 64), nn.Linear(128, 64), decoder])


if __name__ == "__main__":
    main()
