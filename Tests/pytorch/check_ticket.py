#!/usr/bin/env python3
"""Loads an exported ticket into PyTorch and counts the test images it gets right.

    check_ticket.py TICKET.safetensors DATA

DATA is the folder with the four IDX files of the data set (packed or not), or a canonical safetensors data file.
Exits with 1 if the count differs from the one in the ticket's metadata, or if a pruned weight is not zero.
Needs torch, numpy and safetensors.
"""
import gzip
import pathlib
import sys

import numpy
import torch
from safetensors import safe_open
from safetensors.numpy import load_file


def read_idx(folder, stem):
    for name in (stem + ".gz", stem):
        path = folder / name
        if path.exists():
            content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            dimensions = content[3]
            sizes = numpy.frombuffer(content, ">u4", dimensions, offset=4)
            return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * dimensions).reshape(sizes)
    sys.exit(f"{folder} has no {stem}")


def test_set(path):
    if path.is_dir():
        return read_idx(path, "t10k-images-idx3-ubyte"), read_idx(path, "t10k-labels-idx1-ubyte")
    tensors = load_file(path)
    return tensors["test.images"], tensors["test.labels"]


def main(ticket, data):
    with safe_open(ticket, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    state = {name.removeprefix("trained."): value for name, value in tensors.items() if name.startswith("trained.")}
    layers = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    layers.sort(key=lambda name: (name == "output", len(name), name))

    modules = []
    for layer in layers:
        outputs, inputs = state[layer + ".weight"].shape
        modules += [(layer, torch.nn.Linear(inputs, outputs)), ("relu_" + layer, torch.nn.ReLU())]
    network = torch.nn.Sequential()
    for name, module in modules[:-1]:
        network.add_module(name, module)
    network.load_state_dict(state)

    surviving = 0
    for layer in layers:
        mask = tensors[f"mask.{layer}.weight"].bool()
        surviving += int(mask.sum())
        for kind in ("rewind", "trained"):
            if tensors[f"{kind}.{layer}.weight"][~mask].count_nonzero() > 0:
                sys.exit(f"{kind}.{layer}.weight is not zero where it is pruned")
    if surviving != int(metadata["surviving"]):
        sys.exit(f"{surviving} weights survive, the ticket says {metadata['surviving']}")

    images, labels = test_set(pathlib.Path(data))
    mean = torch.tensor([float(text) for text in metadata["input_mean"].split()]).reshape(1, -1, 1)
    std = torch.tensor([float(text) for text in metadata["input_std"].split()]).reshape(1, -1, 1)
    pixels = torch.from_numpy(images.copy()).float().reshape(len(images), mean.numel(), -1) / 255
    inputs = ((pixels - mean) / std).reshape(len(images), -1)
    with torch.no_grad():
        right = int((network(inputs).argmax(1) == torch.from_numpy(labels.astype(numpy.int64))).sum())
    said = int(metadata["test_images_right"])
    print(f"{right} of {len(images)} test images right in PyTorch, {said} of {metadata['test_images_seen']} in the ticket")
    sys.exit(0 if right == said else 1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
