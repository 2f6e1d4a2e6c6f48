#!/usr/bin/env python3
"""The networks of tombola in PyTorch, under the state_dict names of exported tickets.

Run as a program it checks the weight counts of the published networks. Needs `pip install torch`.
"""
import torch.nn.functional as F
from torch import nn

CONV_GROUPS = {"conv-2": (64,), "conv-4": (64, 128), "conv-6": (64, 128, 256)}
VGG_GROUPS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def scaled(channels, width):
    return max(1, round(channels * width))


class Dense(nn.Module):
    """Dense layers fc1 … fcN with ReLU, then `output`."""

    def __init__(self, inputs, hidden, classes=10):
        super().__init__()
        self.hidden = [f"fc{number}" for number in range(1, len(hidden) + 1)]
        for name, outputs in zip(self.hidden, hidden):
            self.add_module(name, nn.Linear(inputs, outputs))
            inputs = outputs
        self.output = nn.Linear(inputs, classes)

    def forward(self, x):
        x = x.flatten(1)
        for name in self.hidden:
            x = F.relu(getattr(self, name)(x))
        return self.output(x)


class Conv(nn.Module):
    """Pairs of 3×3 convolutions conv1, conv2 …, a 2×2 max pool after each pair, then fc1, fc2 and output."""

    def __init__(self, groups, width=1.0, dense=256, channels=3, side=32, classes=10):
        super().__init__()
        self.pairs = len(groups)
        for position, outputs in enumerate(groups):
            for number in (2 * position + 1, 2 * position + 2):
                self.add_module(f"conv{number}", nn.Conv2d(channels, scaled(outputs, width), 3, padding=1))
                channels = scaled(outputs, width)
        features = channels * (side >> self.pairs) ** 2
        self.fc1 = nn.Linear(features, scaled(dense, width))
        self.fc2 = nn.Linear(scaled(dense, width), scaled(dense, width))
        self.output = nn.Linear(scaled(dense, width), classes)

    def forward(self, x):
        for position in range(self.pairs):
            for number in (2 * position + 1, 2 * position + 2):
                x = F.relu(getattr(self, f"conv{number}")(x))
            x = F.max_pool2d(x, 2)
        x = F.relu(self.fc2(F.relu(self.fc1(x.flatten(1)))))
        return self.output(x)


class PadShortcut(nn.Module):
    """Option A: every second pixel; the new channels are zero, half of them before the old ones and half after."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.before = (outputs - inputs) // 2
        self.after = outputs - inputs - self.before
        self.stride = stride

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride == 1 and inputs == outputs:
            self.downsample = nn.Identity()
        elif option == "A":
            self.downsample = PadShortcut(inputs, outputs, stride)
        else:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """The CIFAR ResNet of 6n+2 layers: three stages of n blocks at 16, 32 and 64 channels."""

    def __init__(self, depth, option="B", width=1.0, channels=3, classes=10):
        super().__init__()
        if depth % 6 != 2:
            raise ValueError(f"a depth of {depth} is not 6n+2")
        inputs = scaled(16, width)
        self.conv1 = nn.Conv2d(channels, inputs, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        for stage, base in enumerate((16, 32, 64), 1):
            outputs = scaled(base, width)
            blocks = []
            for position in range(depth // 6):
                stride = 2 if stage > 1 and position == 0 else 1
                blocks.append(BasicBlock(inputs, outputs, stride, option))
                inputs = outputs
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class VGG(nn.Module):
    """VGG for CIFAR: batch-norm, max pools after the first four groups, average pool, one dense layer."""

    def __init__(self, depth, width=1.0, channels=3, classes=10):
        super().__init__()
        layers = []
        for group, (count, base) in enumerate(zip(VGG_GROUPS[depth], (64, 128, 256, 512, 512))):
            for _ in range(count):
                outputs = scaled(base, width)
                layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
                channels = outputs
            if group < 4:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(channels, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def make(name, width=1.0, hidden=(300, 100), option="B", channels=3, side=32, classes=10):
    """The network called `name`: lenet-300-100, mlp, conv-N, resnet-N or vgg-N."""
    if name == "lenet-300-100":
        return Dense(784, (300, 100), classes)
    if name == "mlp":
        return Dense(channels * side * side, hidden, classes)
    if name in CONV_GROUPS:
        return Conv(CONV_GROUPS[name], width, channels=channels, side=side, classes=classes)
    family, _, depth = name.partition("-")
    if family == "resnet":
        return ResNet(int(depth), option, width, channels, classes)
    if family == "vgg" and int(depth) in VGG_GROUPS:
        return VGG(int(depth), width, channels, classes)
    raise ValueError(f"no network is called {name}")


def weights(network):
    """The weights by name, without biases and batch-norm."""
    return {name: value for name, value in network.named_parameters() if value.dim() > 1}


if __name__ == "__main__":
    expected = {"lenet-300-100": 266_200, "conv-2": 4_300_992, "conv-4": 2_425_024, "conv-6": 2_261_184,
                "resnet-20": 270_896, "vgg-19": 20_024_000}
    for name, count in expected.items():
        found = sum(value.numel() for value in weights(make(name)).values())
        assert found == count, f"{name} has {found} weights, not {count}"
    prunable = sum(value.numel() for name, value in weights(make("resnet-20")).items()
                   if "downsample" not in name and name != "fc.weight")
    assert prunable == 267_696, prunable
    assert sum(value.numel() for value in weights(make("resnet-20", option="A")).values()) == 270_896 - 2_560
    print("all weight counts are as published")
