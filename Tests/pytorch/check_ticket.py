#!/usr/bin/env python3
"""Loads an exported ticket into PyTorch and counts the test images it gets right.

    check_ticket.py TICKET.safetensors DATA

DATA is the folder with the data set's test files (four IDX files, or CIFAR's test_batch.bin or test.bin), or a canonical
safetensors data file. Images are averaged down as the ticket says. Exits with 1 if the count differs from the one in the
ticket's metadata, or if a pruned weight is not zero. Needs torch, numpy and safetensors.
"""
import gzip
import pathlib
import sys

import numpy
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

import models


def read_idx(folder, stem):
    for name in (stem + ".gz", stem):
        path = folder / name
        if path.exists():
            content = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
            dimensions = content[3]
            sizes = numpy.frombuffer(content, ">u4", dimensions, offset=4)
            return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * dimensions).reshape(sizes)
    sys.exit(f"{folder} has no {stem}")


def read_cifar(path, labels):
    """Records of `labels` label bytes, the last of which counts, and 3072 pixels."""
    records = numpy.frombuffer(path.read_bytes(), numpy.uint8).reshape(-1, labels + 3072)
    return records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1]


def test_set(path):
    if not path.is_dir():
        tensors = load_file(path)
        return tensors["test.images"], tensors["test.labels"]
    if (path / "test_batch.bin").exists():
        return read_cifar(path / "test_batch.bin", 1)
    if (path / "test.bin").exists():
        return read_cifar(path / "test.bin", 2)
    return read_idx(path, "t10k-images-idx3-ubyte"), read_idx(path, "t10k-labels-idx1-ubyte")


def resized(images, side):
    """The means of blocks of pixels, rounded to the nearest grey value, halves up."""
    count, channels, height, width = images.shape
    rows, columns = height // side, width // side
    sums = images.reshape(count, channels, side, rows, side, columns).astype(numpy.int64).sum(axis=(3, 5))
    return ((sums + rows * columns // 2) // (rows * columns)).astype(numpy.uint8)


def network_of(metadata, images, classes):
    family, width = metadata["model"], float(metadata.get("width", 1))
    channels, side = images.shape[1], images.shape[3]
    if family in ("lenet-300-100", "mlp"):
        if family == "lenet-300-100":
            hidden = [300, 100]
        elif "hidden" in metadata:
            hidden = [int(text) for text in metadata["hidden"].split()]
        else:
            hidden = [int(width)] * int(metadata["depth"])
        return models.Dense(images[0].size, hidden, classes)
    name = f"{family}-{metadata['depth']}" if "depth" in metadata else family
    return models.make(name, width=width, option=metadata.get("shortcut", "B"), channels=channels, side=side,
                       classes=classes)


def main(ticket, data):
    with safe_open(ticket, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    state = {name.removeprefix("trained."): value for name, value in tensors.items() if name.startswith("trained.")}
    masks = {name.removeprefix("mask."): value.bool() for name, value in tensors.items() if name.startswith("mask.")}
    images, labels = test_set(pathlib.Path(data))
    images = images.reshape(len(images), -1, *images.shape[-2:])
    if "input_resize" in metadata:
        images = resized(images, int(metadata["input_resize"]))

    classes = next(value for name, value in reversed(state.items()) if name in
                   ("output.bias", "fc.bias", "classifier.0.bias")).numel()
    network = network_of(metadata, images, classes)
    # The number of batches that batch-norm has seen decides nothing where its momentum is fixed, and is not exported.
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        sys.exit(f"the ticket lacks {missing} and has {unexpected}")
    network.eval()

    surviving = 0
    for name, mask in masks.items():
        surviving += int(mask.sum())
        for kind in ("rewind", "trained"):
            if tensors[f"{kind}.{name}"][~mask].count_nonzero() > 0:
                sys.exit(f"{kind}.{name} is not zero where it is pruned")
    if surviving != int(metadata["surviving"]):
        sys.exit(f"{surviving} weights survive, the ticket says {metadata['surviving']}")

    mean = torch.tensor([float(text) for text in metadata["input_mean"].split()]).reshape(1, -1, 1, 1)
    std = torch.tensor([float(text) for text in metadata["input_std"].split()]).reshape(1, -1, 1, 1)
    right = 0
    with torch.no_grad():
        for start in range(0, len(images), 500):
            pixels = torch.from_numpy(images[start:start + 500].copy()).float() / 255
            expected = torch.from_numpy(labels[start:start + 500].astype(numpy.int64))
            right += int((network((pixels - mean) / std).argmax(1) == expected).sum())
    said = int(metadata["test_images_right"])
    print(f"{right} of {len(images)} test images right in PyTorch, {said} of {metadata['test_images_seen']} in the ticket")
    sys.exit(0 if right == said else 1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
