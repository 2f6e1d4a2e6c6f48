#!/usr/bin/env python3
"""Training speed of tombola beside PyTorch's, one thread each, in turn: the table of README.

    compare.py TOMBOLA [--rounds 11] [--only conv-6] [--json]
    compare.py TOMBOLA --chain [--iterations 5000] [--rounds 3] [--data DIR]
    compare.py TOMBOLA --two [--rounds 5]

TOMBOLA is the program. Each round runs both for a few seconds, one after the other, since who shares the machine changes from
moment to moment: the median of as many windows of half a second of each. A ratio is the median over rounds of each round's
ratio. --chain times LeNet-300-100's chain of 15 prunings at the published rates instead, every level of --iterations steps, both on
MNIST in DIR; --two what two slots on two cores do beside one. Needs `pip install torch`.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# network, batch, optimizer, rows of (density, precision)
WORK = [
    ("lenet-300-100", 60, "adam", [(1, "f32"), (0.1, "f32"), (0.02, "f32")]),
    ("conv-6", 60, "adam", [(1, "f32"), (1, "bf16"), (0.1, "f32"), (0.02, "f32")]),
    ("resnet-20", 128, "sgd", [(1, "f32"), (1, "bf16"), (0.1, "f32")]),
    ("vgg-19", 64, "sgd", [(1, "f32"), (1, "bf16"), (0.02, "f32")]),
]


def output(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def windows(network):
    """Windows of a round, each of half a second or one step. VGG-19 takes longer to begin than to be measured."""
    return 4 if network == "vgg-19" else 3


class PyTorch:
    """PyTorch in a process of its own, ready for another round. Always in f32, masks multiplied onto the weights after each step."""

    def __init__(self, network, batch, optimizer, density):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "bench_train.py"), "--ask", "--network", network, "--batch", str(batch),
             "--optimizer", optimizer, "--density", str(density), "--rounds", "3", "--windows", str(windows(network)),
             "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def rate(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline() or sys.exit("compare.py: PyTorch's side ended, for the reason above"))

    def end(self):
        return json.loads(self.process.communicate()[0])


def tombola_command(options, network, batch, optimizer, density, precision, windows):
    return [options.tombola, "bench", "train", "--model", network, "--batch", str(batch), "--optimizer", optimizer,
            "--density", str(density), "--precision", precision, "--windows", str(windows), "--json"]


def row(options, network, batch, optimizer, density, precision):
    ours, theirs, shares = [], [], []
    command = tombola_command(options, network, batch, optimizer, density, precision, windows(network))
    with PyTorch(network, batch, optimizer, density) as other:
        other.rate()
        for _ in range(options.rounds):
            result = output(command)
            ours.append(result["steps_per_second"])
            shares.append(result["share_of_peak"])
            theirs.append(other.rate())
        torch = other.end()["torch"]
    ratios = [a / b for a, b in zip(ours, theirs)]
    return {"network": network, "batch": batch, "optimizer": optimizer, "density": density, "precision": precision,
            "tombola": ours, "pytorch": theirs, "ratio": statistics.median(ratios), "ratios": ratios,
            "share_of_peak": statistics.median(shares), "bytes_per_step": result["bytes_per_step"],
            "instruction_set": result["instruction_set"], "torch": torch}


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(options):
    if options.only and options.only not in [work[0] for work in WORK]:
        sys.exit(f"--only is one of {', '.join(work[0] for work in WORK)}, not {options.only}")
    print("| work | tombola, steps/s | PyTorch, steps/s | ratio (lowest…highest) | of peak | MB a step |")
    print("|---|---|---|---|---|---|", flush=True)
    for network, batch, optimizer, rows in WORK:
        if options.only and options.only != network:
            continue
        for density, precision in rows:
            found = row(options, network, batch, optimizer, density, precision)
            if options.json:
                print(json.dumps(found), file=sys.stderr, flush=True)
            what = precision if density == 1 else f"{density * 100:g} %"
            print(f"| {network}, batch {batch}, {optimizer}: {'dense ' if density == 1 else ''}{what} "
                  f"| {number(statistics.median(found['tombola']))} | {number(statistics.median(found['pytorch']))} "
                  f"| **{found['ratio']:.2f}** ({min(found['ratios']):.2f}…{max(found['ratios']):.2f}) "
                  f"| {found['share_of_peak'] * 100:.0f} % | {found['bytes_per_step'] / 1e6:.0f} |", flush=True)
    print(f"\nPyTorch {found['torch']}, {options.rounds} rounds")


def chain(options):
    spec = f"""
name: chain
dataset: mnist
data: {{validation: 5000}}
model: {{family: lenet-300-100}}
training: {{iterations: {options.iterations}, batch: 60, optimizer: adam, learning_rate: 1.2e-3, evaluate_every: 100,
           test: best}}
pruning: {{scope: layer, rate: {{fc: 0.2, output: 0.1}}, levels: 15, rewind: 0}}
replicates: 1
"""
    ratios = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chain.yaml"
            path.write_text(spec)
            start = time.perf_counter()
            subprocess.run([options.tombola, "run", str(path), "--workers", "1", "--data", options.data, "--store",
                            f"{folder}/store"], check=True, capture_output=True)
            ours = time.perf_counter() - start
        theirs = output([sys.executable, str(HERE / "bench_train.py"), "--chain", "--data", options.data, "--iterations",
                         str(options.iterations), "--json"])["seconds"]
        ratios.append(theirs / ours)
        print(f"chain of {options.iterations} steps a level: tombola {ours:.1f} s, PyTorch {theirs:.1f} s, "
              f"{theirs / ours:.2f} times", flush=True)
    print(f"median {statistics.median(ratios):.2f} times")


def two(options):
    for network, batch, optimizer, rows in WORK:
        command = tombola_command(options, network, batch, optimizer, 1, "f32", windows=7)
        ratios = []
        for _ in range(options.rounds):
            alone = output(["taskset", "-c", "0", *command])["steps_per_second"]
            pair = [subprocess.Popen(["taskset", "-c", str(core), *command], stdout=subprocess.PIPE)
                    for core in (0, 1)]
            both = sum(json.loads(one.communicate()[0])["steps_per_second"] for one in pair)
            ratios.append(both / alone)
        print(f"{network}: two slots do {statistics.median(ratios):.2f} times one "
              f"({min(ratios):.2f}…{max(ratios):.2f})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tombola")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only")
    parser.add_argument("--json", action="store_true", help="each row's figures on standard error")
    parser.add_argument("--chain", action="store_true")
    parser.add_argument("--iterations", type=int, default=5_000)
    parser.add_argument("--data", default=os.environ.get("TOMBOLA_DATA", "."))
    parser.add_argument("--two", action="store_true")
    options = parser.parse_args()
    measure, rounds = (chain, 3) if options.chain else (two, 5) if options.two else (table, 11)
    options.rounds = options.rounds or rounds
    measure(options)


if __name__ == "__main__":
    main()
