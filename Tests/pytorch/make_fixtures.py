#!/usr/bin/env python3
"""Writes what PyTorch computes for one small network of each family, for tests that need no PyTorch.

    python3 make_fixtures.py FOLDER        one NAME.safetensors for each network, under 430 KB in all

A file holds `pixels` u8 [images, channels, height, width] and `labels` u8, `gradient.NAME` f32 of step 1 in training
mode, `product.NAME` f32 of each weight of at most 600 elements: the product of the Hessian of step 1's loss by all weights and
its gradient by them, by double backward in f64; `losses` f32 and `losses_f64` f64 of all steps (the loss before each update; the second from a network in f64).
Step s trains on images (s · batch … s · batch + batch − 1) mod images. Pixels enter as (p / 255 − 0.5) / 0.25. Metadata:
network, width, hidden, option, batch, optimizer, learning_rate, momentum, weight_decay, order (parameter names, comma
between). Weights are not stored. Entry i of parameter k (k counts from 0 in `order`) is, in f32,

    weights:            (h >> 8) − 2²³, times 2^(−23 − e), where e = ⌊log₂(fan_in)⌋ ÷ 2, rounded down (integers);
    biases, beta:       0
    batch-norm's gamma: 1

with h = mix(k · 2²⁴ + i) on u32 (x ^= x >> 16; x *= 0x7feb352d; x ^= x >> 15; x *= 0x846ca68b; x ^= x >> 16), and
fan_in the product of all but the first dimension. Every weight is exact in f32.
"""
import json
import struct
import sys
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F

import models

# file name: (network, keywords of models.make, side, images, batch, steps, optimizer, learning rate)
NETWORKS = {
    "mlp": ("mlp", {"hidden": (24, 16), "side": 8}, 8, 48, 12, 200, "adam", 1e-3),
    "conv-2": ("conv-2", {"width": 0.125, "side": 8}, 8, 48, 12, 200, "adam", 3e-4),
    "resnet-8-a": ("resnet-8", {"width": 0.25, "option": "A"}, 8, 48, 12, 200, "sgd", 0.01),
    "resnet-8-b": ("resnet-8", {"width": 0.25, "option": "B"}, 8, 48, 12, 200, "sgd", 0.01),
    # Four blocks of 16, the last with two images.
    "resnet-8-batch-50": ("resnet-8", {"width": 0.125, "option": "B"}, 8, 60, 50, 40, "sgd", 0.01),
    "vgg-11": ("vgg-11", {"width": 0.0625}, 32, 24, 12, 200, "sgd", 0.003),
}

# Of the images and labels. Another is no worse, unless rounding decides whether a value near 0 passes a ReLU: with seed 3
# resnet-8-b has one of 5e-7 in its first step, and f32 and f64 part.
SEEDS = {"mlp": 0, "conv-2": 1, "resnet-8-a": 2, "resnet-8-b": 12, "resnet-8-batch-50": 5, "vgg-11": 4}


def mix(x):
    x = x.astype(numpy.uint32)
    x ^= x >> numpy.uint32(16)
    x *= numpy.uint32(0x7FEB352D)
    x ^= x >> numpy.uint32(15)
    x *= numpy.uint32(0x846CA68B)
    return x ^ (x >> numpy.uint32(16))


def initialise(network):
    with torch.no_grad():
        for k, (_, value) in enumerate(network.named_parameters()):
            if value.dim() > 1:
                exponent = (value[0].numel().bit_length() - 1) // 2
                drawn = (mix(k * 2**24 + numpy.arange(value.numel())) >> numpy.uint32(8)).astype(numpy.float64)
                drawn = (drawn - 2**23) * 2.0 ** (-23 - exponent)
                value.copy_(torch.from_numpy(drawn).view(value.shape))
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
            torch.nn.init.zeros_(module.bias)
        elif getattr(module, "bias", None) is not None:
            torch.nn.init.zeros_(module.bias)


def train(name, pixels, labels, precision):
    """Losses of all steps, and the gradients of the first by name."""
    kind, keywords, _, images, batch, steps, rule, rate = NETWORKS[name]
    network = models.make(kind, **keywords)
    initialise(network)
    network.to(precision)
    if rule == "adam":
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    else:
        optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
    x = (torch.from_numpy(pixels).to(precision) / 255 - 0.5) / 0.25
    y = torch.from_numpy(labels).long()
    losses, gradients = [], None
    for step in range(steps):
        chosen = (torch.arange(batch) + step * batch) % images
        loss = F.cross_entropy(network(x[chosen]), y[chosen])
        optimizer.zero_grad()
        loss.backward()
        if gradients is None:
            gradients = {key: value.grad.numpy().copy() for key, value in network.named_parameters()}
        optimizer.step()
        losses.append(loss.item())
    return numpy.array(losses), gradients


def products(name, pixels, labels):
    """The Hessian of the first step's loss times its gradient, over all weights, by name."""
    kind, keywords, _, _, batch, _, _, _ = NETWORKS[name]
    network = models.make(kind, **keywords)
    initialise(network)
    network.double()
    x = (torch.from_numpy(pixels[:batch]).double() / 255 - 0.5) / 0.25
    loss = F.cross_entropy(network(x), torch.from_numpy(labels[:batch]).long())
    weights = {key: value for key, value in network.named_parameters() if value.dim() > 1}
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    flow = sum((gradient * gradient.detach()).sum() for gradient in gradients)
    return {key: value.numpy() for key, value in zip(weights, torch.autograd.grad(flow, list(weights.values())))}


def write(path, tensors, metadata):
    """Writes tensors (numpy) as safetensors."""
    kinds = {"uint8": "U8", "float32": "F32", "float64": "F64"}
    # The widest types come first, so that each tensor is aligned.
    ordered = sorted(tensors.items(), key=lambda pair: (-pair[1].itemsize, pair[0]))
    header, offset = {"__metadata__": metadata}, 0
    for key, value in ordered:
        header[key] = {"dtype": kinds[str(value.dtype)], "shape": list(value.shape),
                       "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text
                     + b"".join(numpy.ascontiguousarray(value).tobytes() for _, value in ordered))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    total = 0
    for name, (kind, keywords, side, images, batch, _, rule, rate) in NETWORKS.items():
        random = numpy.random.RandomState(SEEDS[name])
        pixels = random.randint(0, 256, (images, 3, side, side)).astype(numpy.uint8)
        labels = random.randint(0, 10, images).astype(numpy.uint8)
        losses, gradients = train(name, pixels, labels, torch.float32)
        judged, exact = train(name, pixels, labels, torch.float64)
        tensors = {"pixels": pixels, "labels": labels, "losses": losses.astype(numpy.float32), "losses_f64": judged}
        tensors |= {f"gradient.{key}": value for key, value in gradients.items()}
        tensors |= {f"product.{key}": value.astype(numpy.float32)
                    for key, value in products(name, pixels, labels).items() if value.size <= 600}
        metadata = {"network": kind, "width": str(keywords.get("width", 1)), "option": keywords.get("option", ""),
                    "hidden": ",".join(map(str, keywords.get("hidden", ()))), "batch": str(batch),
                    "optimizer": rule, "learning_rate": str(rate), "order": ",".join(gradients),
                    "momentum": "0.9" if rule == "sgd" else "0", "weight_decay": "1e-4" if rule == "sgd" else "0"}
        path = folder / f"{name}.safetensors"
        write(path, tensors, metadata)
        total += path.stat().st_size
        apart = numpy.max(numpy.abs(losses - judged) / judged)
        gradient = max(numpy.abs(gradients[key] - exact[key]).max() / max(numpy.abs(exact[key]).max(), 1e-30)
                       for key in exact if numpy.abs(exact[key]).max() > 1e-12)
        print(f"{name}: {path.stat().st_size} bytes, loss {losses[0]:.4f} to {losses[-1]:.4f}, "
              f"f32 from f64: losses {apart:.1e}, gradients {gradient:.1e}")
    if total >= 430_000:
        sys.exit(f"{total} bytes in all are too many")


if __name__ == "__main__":
    main()
