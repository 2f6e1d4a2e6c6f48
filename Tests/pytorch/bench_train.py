#!/usr/bin/env python3
"""Speed of training in PyTorch on one thread: the counterpart of `tombola bench train`.

A step takes a batch from a u8 data set and normalises it; then forward, cross-entropy, backward, fused optimizer, and
with a density below 1 a mask multiplied onto the weights. Convolution nets are measured in both memory formats and the
faster counts. --chain measures the wall time of LeNet-300-100's chain of prunings instead, on MNIST in --data, or on random
images without. Needs `pip install torch`.

A rate is the median of --windows windows of half a second after a quarter of one, like that of `tombola bench train`.

With --ask it is measured once more for each line of standard input, in the format that was the faster one in --rounds rounds
before, and is a line of the answer, so that who measures something else in turn need not start PyTorch anew each time.
"""
import argparse
import copy
import gzip
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import models

WINDOW = 0.5  # seconds


class Trainer:
    def __init__(self, options, layout, images, labels):
        self.batch, self.bf16, self.layout = options.batch, options.precision == "bf16", layout
        self.network = models.make(options.network, options.width).to(memory_format=layout)
        self.weights = models.weights(self.network)
        self.masks = None
        self.name, self.rate = options.optimizer, options.learning_rate
        self.images, self.labels = images, labels
        self.restart()

    def restart(self):
        """A fresh optimizer, at the first batch."""
        parameters = self.network.parameters()
        if self.name == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=self.rate, fused=True)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=self.rate, momentum=0.9, weight_decay=1e-4, fused=True)
        self.random = torch.Generator().manual_seed(1)
        self.position = len(self.images)

    def loss(self, images, labels):
        x = images.float().div_(255).sub_(0.5).div_(0.25)
        if x.dim() == 4:
            x = x.contiguous(memory_format=self.layout)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            scores = self.network(x)
        return F.cross_entropy(scores.float(), labels), scores

    def apply_masks(self):
        with torch.no_grad():
            for name, mask in self.masks.items():
                self.weights[name].mul_(mask)

    def step(self):
        if self.position + self.batch > len(self.images):
            self.order = torch.randperm(len(self.images), generator=self.random)
            self.position = 0
        chosen = self.order[self.position:self.position + self.batch]
        self.position += self.batch
        loss, _ = self.loss(self.images[chosen], self.labels[chosen])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.masks:
            self.apply_masks()

    def evaluate(self, images, labels, batch=1000):
        """Mean loss and share right."""
        self.network.eval()
        total, right = 0.0, 0
        with torch.no_grad():
            for start in range(0, len(images), batch):
                part = labels[start:start + batch]
                loss, scores = self.loss(images[start:start + batch], part)
                total += loss.item() * len(part)
                right += (scores.argmax(1) == part).sum().item()
        self.network.train()
        return total / len(images), right / len(images)


def data(count, shape):
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8)
    return images, torch.randint(0, 10, (count,))


def idx(path, header):
    """What follows the header of MNIST's file format, whose files may be compressed."""
    data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8)


def mnist(folder, kind):
    return (idx(folder / f"{kind}-images-idx3-ubyte", 16).view(-1, 1, 28, 28),
            idx(folder / f"{kind}-labels-idx1-ubyte", 8).long())


def bench(options):
    shape = (1, 28, 28) if options.network == "lenet-300-100" else (3, 32, 32)
    images, labels = data(max(2000, 2 * options.batch), shape)
    layouts = {"nchw": torch.contiguous_format}
    if options.network not in ("lenet-300-100", "mlp"):
        layouts["channels_last"] = torch.channels_last
    trainers = {name: Trainer(options, layout, images, labels) for name, layout in layouts.items()}
    rates = {name: [] for name in layouts}
    for trainer in trainers.values():
        if options.density < 1:
            trainer.masks = {name: (torch.rand(value.shape) < options.density).float()
                             for name, value in trainer.weights.items()}
            trainer.apply_masks()
        trainer.step()

    def window(trainer, seconds):
        steps, start = 0, time.perf_counter()
        while steps == 0 or time.perf_counter() - start < seconds:
            trainer.step()
            steps += 1
        return steps / (time.perf_counter() - start)

    def rate(trainer):
        window(trainer, WINDOW / 2)
        return statistics.median(window(trainer, WINDOW) for _ in range(options.windows))

    for _ in range(options.rounds):
        for name, trainer in trainers.items():
            rates[name].append(rate(trainer))
    best = max(rates, key=lambda name: statistics.median(rates[name]))
    if options.ask:
        for _ in sys.stdin:
            print(rate(trainers[best]), flush=True)
    return {"network": options.network, "batch": options.batch, "optimizer": options.optimizer,
            "density": options.density, "precision": options.precision, "layout": best,
            "steps_per_second": statistics.median(rates[best]), "slowest": min(rates[best]),
            "fastest": max(rates[best]), "rounds": options.rounds,
            "medians": {name: statistics.median(values) for name, values in rates.items()},
            "torch": torch.__version__}


def prune(trainer):
    """Takes the smallest of the surviving weights per layer: 20 %, 10 % of the output layer's."""
    for name, weight in trainer.weights.items():
        alive = trainer.masks[name].flatten().nonzero().flatten()
        count = len(alive) * (1 if name == "output.weight" else 2) // 10
        order = weight.detach().flatten()[alive].abs().argsort(stable=True)
        trainer.masks[name].view(-1)[alive[order[:count]]] = 0


def chain(options):
    if options.data:
        folder = Path(options.data) / "mnist"
        images, labels = mnist(folder, "train")
        validation, test = (images[55_000:], labels[55_000:]), mnist(folder, "t10k")
        images, labels = images[:55_000], labels[:55_000]
    else:
        images, labels = data(55_000, (1, 28, 28))
        validation, test = data(5_000, (1, 28, 28)), data(10_000, (1, 28, 28))
    trainer = Trainer(options, torch.contiguous_format, images, labels)
    initial = copy.deepcopy(trainer.network.state_dict())
    seconds, accuracy = [], []
    for level in range(options.prunings + 1):
        start = time.perf_counter()
        if level > 0:
            if trainer.masks is None:
                trainer.masks = {name: torch.ones_like(value) for name, value in trainer.weights.items()}
            prune(trainer)
            trainer.network.load_state_dict(initial)
            trainer.apply_masks()
            trainer.restart()
        least, best = float("inf"), None
        for step in range(options.iterations + 1):
            if step > 0:
                trainer.step()
            if step % 100 == 0 or step == options.iterations:
                loss, _ = trainer.evaluate(*validation)
                if loss < least:
                    least, best = loss, copy.deepcopy(trainer.network.state_dict())
        _, right = trainer.evaluate(*test)
        last = copy.deepcopy(trainer.network.state_dict())
        trainer.network.load_state_dict(best)
        trainer.evaluate(*test)
        trainer.network.load_state_dict(last)
        accuracy.append(right)
        seconds.append(time.perf_counter() - start)
    return {"chain": options.network, "prunings": options.prunings, "iterations": options.iterations,
            "seconds": sum(seconds), "test_accuracy": accuracy, "level_seconds": seconds, "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="lenet-300-100")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=60)
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--windows", type=int, default=3, help="windows of half a second that a round has at least")
    parser.add_argument("--ask", action="store_true", help="one more round for each line of standard input")
    parser.add_argument("--chain", action="store_true", help="LeNet-300-100's chain of prunings")
    parser.add_argument("--data", help="the folder of MNIST's, for --chain")
    parser.add_argument("--prunings", type=int, default=15)
    parser.add_argument("--iterations", type=int, default=50_000, help="steps of each level of the chain")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.chain:
        options.network, options.batch, options.optimizer = "lenet-300-100", 60, "adam"
        options.learning_rate = options.learning_rate or 1.2e-3
    options.learning_rate = options.learning_rate or 1e-5
    torch.manual_seed(0)
    torch.set_num_threads(1)
    result = chain(options) if options.chain else bench(options)
    if options.json:
        print(json.dumps(result))
    elif options.chain:
        print(f"{result['seconds']:.1f} s for {options.prunings + 1} levels of {options.iterations} steps")
    else:
        print(f"{result['steps_per_second']:.4g} steps/s ({result['slowest']:.4g}…{result['fastest']:.4g}), "
              f"{result['layout']}, torch {result['torch']}")


if __name__ == "__main__":
    main()
