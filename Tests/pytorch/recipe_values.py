#!/usr/bin/env python3
"""Prints what PyTorch makes of a few numbers, in f64: the values that RecipeValuesTests.swift holds.

    python3 recipe_values.py

Optimizers: four parameters after each of five steps whose gradients and learning rates are given. Clipping: the gradients
of two parameters under several limits. Label smoothing: loss and gradient of three images.
"""
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)

VALUES = [0.5, -1.25, 2.0, 0.0]
GRADIENTS = [[1.0, -0.5, 0.25, 0.0], [-0.25, -2.0, 0.5, 0.125], [0.0, 1.0, -1.5, 0.0], [3.0, -0.125, 0.75, -1.0],
             [0.5, 0.5, -0.25, 2.0]]
RATES = [0.1, 0.1, 0.05, 0.02, 0.01]
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, weight_decay=0.25),
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9, weight_decay=0.25),
    "nesterov": lambda p: torch.optim.SGD(p, momentum=0.9, weight_decay=0.25, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.25),
    "adamw": lambda p: torch.optim.AdamW(p, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.25),
    "rmsprop": lambda p: torch.optim.RMSprop(p, alpha=0.9, eps=1e-3, weight_decay=0.25),
    "rmsprop with momentum": lambda p: torch.optim.RMSprop(p, alpha=0.9, eps=1e-3, weight_decay=0.25, momentum=0.9),
}


def rows(tensor):
    return [[float(f"{value:.9g}") for value in row] for row in tensor.tolist()]


for name, make in OPTIMIZERS.items():
    parameter = torch.nn.Parameter(torch.tensor(VALUES))
    optimizer = make([parameter])
    after = []
    for gradient, rate in zip(GRADIENTS, RATES):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        after.append(parameter.detach().clone())
    print(name, *rows(torch.stack(after)), sep="\n    ")

gradients = [torch.tensor([0.5, -1.5, 2.0, 0.0, 0.25, -3.0]), torch.tensor([1.0, -0.125])]
for limit in (1.0, 2.5, 4.0625, 4.125):
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, limit)
    print(f"clipped to {limit}", *rows(torch.stack([torch.cat([p.grad for p in parameters])])))

logits = torch.tensor([[2.0, -1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 4.0], [-3.0, 1.0, 1.0, 0.25]], requires_grad=True)
for smoothing in (0.0, 0.1, 0.75):
    logits.grad = None
    loss = F.cross_entropy(logits, torch.tensor([0, 1, 3]), label_smoothing=smoothing)
    loss.backward()
    print(f"smoothing {smoothing}: loss {loss.item():.9g}", *rows(logits.grad), sep="\n    ")
