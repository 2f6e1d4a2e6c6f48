#!/usr/bin/env python3
"""Computes a ticket's mask again in PyTorch, by exact double backward in f64, and says how much of it agrees.

    check_criteria.py snip|grasp|synflow DENSE.safetensors TICKET.safetensors DATASET [--examples 10] [--batch 60]
                      [--validation 5000] [--seed 0]

DENSE and TICKET are exported tickets of levels 0 and n of one run whose spec prunes once at step 0 in the scope `global`, all
kinds of layers at one rate (`pruning: {criterion: snip, scope: global, rate: 0.9, levels: 1}`); DATASET is the canonical data
file of the store. Exits with 1 if less than 99.9 % of the weights agree. Needs torch, numpy and safetensors.
"""
import argparse
import sys

import numpy
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.numpy import load_file

from check_ticket import network_of, resized

VALIDATION_SPLIT, PRUNING_EXAMPLES = 7, 9


def integer_below(bound, seed, purpose, index):
    """What CounterRandom draws at the address (epoch 0, index): Philox-4x32-10."""
    counter = [index & 0xFFFFFFFF, index >> 32, 0, purpose]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(second >> 32) ^ counter[1] ^ key[0], second & 0xFFFFFFFF,
                   (first >> 32) ^ counter[3] ^ key[1], first & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return (counter[0] << 32 | counter[1]) * bound >> 64


def permutation(count, seed, purpose):
    order = list(range(count))
    for position in range(count - 1, 0, -1):
        other = integer_below(position + 1, seed, purpose, position)
        order[position], order[other] = order[other], order[position]
    return order


def examples(labels, classes, arguments):
    split = permutation(len(labels), 0, VALIDATION_SPLIT)
    training = sorted(split[arguments.validation:])
    chosen = [[] for _ in range(classes)]
    for position in permutation(len(training), arguments.seed, PRUNING_EXAMPLES):
        image = training[position]
        if len(chosen[labels[image]]) < arguments.examples:
            chosen[labels[image]].append(image)
    return [images[place] for place in range(arguments.examples) for images in chosen]


def loss(network, pixels, labels, batch):
    """The mean, in groups as even as may be, so that batch-norm sees batches."""
    groups = -(-len(labels) // batch)
    edges = [len(labels) * group // groups for group in range(groups + 1)]
    return sum(F.cross_entropy(network(pixels[a:b]), labels[a:b], reduction="sum") for a, b in zip(edges, edges[1:])) / len(labels)


def scores(criterion, network, weights, shortcuts, pixels, labels, batch):
    """Of `weights`; the gradient's flow is that of `shortcuts` as well, which are never pruned."""
    if criterion == "synflow":
        network.eval()
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.abs_()
        flow = network(torch.ones_like(pixels[:1])).sum()
        return [w * g for w, g in zip(weights, torch.autograd.grad(flow, weights))]
    network.train()
    gradients = torch.autograd.grad(
        loss(network, pixels, labels, batch), weights + shortcuts, create_graph=criterion == "grasp")
    if criterion == "snip":
        return [(w * g).abs() for w, g in zip(weights, gradients)]
    flow = sum((g * g.detach()).sum() for g in gradients)
    return [w * h for w, h in zip(weights, torch.autograd.grad(flow, weights))]


def main(arguments):
    with safe_open(arguments.dense, framework="pt") as file:
        metadata = file.metadata()
        state = {name.removeprefix("rewind."): file.get_tensor(name) for name in file.keys() if name.startswith("rewind.")}
    with safe_open(arguments.ticket, framework="pt") as file:
        masks = {name.removeprefix("mask."): file.get_tensor(name).bool() for name in file.keys() if name.startswith("mask.")}
    data = load_file(arguments.dataset)
    images, labels = data["train.images"], data["train.labels"]
    if "input_resize" in metadata:
        images = resized(images, int(metadata["input_resize"]))
    classes = int(labels.max()) + 1
    network = network_of(metadata, images, classes).double()
    network.load_state_dict({name: value.double() for name, value in state.items()}, strict=False)
    names = [name for name in masks if "downsample" not in name]
    parameters = dict(network.named_parameters())
    weights = [parameters[name] for name in names]
    shortcuts = [parameters[name] for name in masks if name not in names]

    chosen = examples(labels.tolist(), classes, arguments)
    mean = torch.tensor([float(text) for text in metadata["input_mean"].split()], dtype=torch.float64).reshape(1, -1, 1, 1)
    std = torch.tensor([float(text) for text in metadata["input_std"].split()], dtype=torch.float64).reshape(1, -1, 1, 1)
    pixels = (torch.from_numpy(images[chosen]).double() / 255 - mean) / std
    expected = torch.from_numpy(labels[chosen].astype(numpy.int64))

    total = sum(weight.numel() for weight in weights)
    left = sum(int(masks[name].sum()) for name in names)
    alive = [torch.ones_like(weight, dtype=torch.bool) for weight in weights]
    rounds = 100 if arguments.criterion == "synflow" else 1
    for turn in range(1, rounds + 1):
        count = left if turn == rounds else max(left, round(total * (left / total) ** (turn / rounds)))
        with torch.no_grad():
            for weight, mask in zip(weights, alive):
                weight[~mask] = 0
        ranks = torch.cat([score.masked_fill(~mask, -torch.inf).flatten() for score, mask in zip(
            scores(arguments.criterion, network, weights, shortcuts, pixels, expected, arguments.batch), alive)])
        kept = torch.zeros(total, dtype=torch.bool)
        kept[ranks.topk(count).indices] = True
        alive = [part.reshape(mask.shape) for part, mask in zip(kept.split([mask.numel() for mask in alive]), alive)]
    agreeing = sum(int((mask == masks[name]).sum()) for name, mask in zip(names, alive))
    print(f"{arguments.criterion}: {agreeing} of {total} weights as in PyTorch, {left} survive")
    sys.exit(0 if agreeing >= 0.999 * total else 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("criterion", choices=["snip", "grasp", "synflow"])
    for name in ("dense", "ticket", "dataset"):
        parser.add_argument(name)
    for name, value in (("examples", 10), ("batch", 60), ("validation", 5_000), ("seed", 0)):
        parser.add_argument("--" + name, type=int, default=value)
    main(parser.parse_args())
