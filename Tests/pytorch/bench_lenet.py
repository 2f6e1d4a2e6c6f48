#!/usr/bin/env python3
"""Steps per second of a LeNet-300-100 training step in PyTorch on one thread, as JSON.

The counterpart of `tombola bench train --model lenet-300-100`: images of the batch are taken from a u8 data set and
normalised, forward, cross-entropy, backward, optimizer step, and with --density below 1 a mask multiplied onto the
weights after each step. Needs `pip install torch`.
"""
import argparse
import json
import statistics
import time

import torch


def network(widths):
    layers = []
    for position, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
        layers.append(torch.nn.Linear(inputs, outputs))
        if position < len(widths) - 2:
            layers.append(torch.nn.ReLU())
    return torch.nn.Sequential(*layers)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, nargs="*", default=[300, 100])
    parser.add_argument("--batch", type=int, default=60)
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--optimizer", choices=["adam", "momentum", "sgd"], default="adam")
    parser.add_argument("--plain", action="store_true",
                        help="the optimizer's default implementation instead of fused=True")
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--window-seconds", type=float, default=0.5)
    options = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = network([784, *options.hidden, 10])
    weights = [p for p in model.parameters() if p.dim() == 2]
    masks = [(torch.rand_like(w) < options.density).float() for w in weights]
    fused = not options.plain
    if options.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=fused)
    else:
        momentum = 0.9 if options.optimizer == "momentum" else 0.0
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=momentum, fused=fused)
    count = 100 * options.batch
    images = torch.randint(0, 256, (count, 784), dtype=torch.uint8)
    labels = torch.arange(count) % 10
    order = torch.randperm(count)
    step = 0

    def train():
        nonlocal step
        start = step * options.batch % count
        step += 1
        chosen = order[start:start + options.batch]
        x = images[chosen].float().div_(255)
        loss = torch.nn.functional.cross_entropy(model(x), labels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if options.density < 1:
            with torch.no_grad():
                for weight, mask in zip(weights, masks):
                    weight.mul_(mask)

    def rate(seconds):
        start = time.perf_counter()
        steps = 0
        while True:
            for _ in range(10):
                train()
            steps += 10
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                return steps / elapsed

    rate(options.window_seconds / 2)
    rates = sorted(rate(options.window_seconds) for _ in range(options.windows))
    print(json.dumps({
        "steps_per_second": statistics.median(rates), "slowest": rates[0], "fastest": rates[-1],
        "windows": options.windows, "fused": fused, "density": options.density, "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
