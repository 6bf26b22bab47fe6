"""Tiny networks whose channels are known by hand, for the tests of several methods."""

from __future__ import annotations

import torch
from torch import nn


class Counted(nn.Module):
    """Passes on what it is given, and counts how often."""

    def __init__(self):
        super().__init__()
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        return x


def network(seed: int = 0) -> nn.Sequential:
    """3 → 4 → 5 channels at half the size → 2 logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential()
        model.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        model.norm1 = nn.BatchNorm2d(4)
        model.relu1 = nn.ReLU()
        model.pool = nn.AvgPool2d(2)
        model.conv2 = nn.Conv2d(4, 5, 3, padding=1)
        model.tail = Counted()
        model.mean = nn.AdaptiveAvgPool2d(1)
        model.flatten = nn.Flatten()
        model.fc = nn.Linear(5, 2)
        for convolution in (model.conv1, model.conv2):  # strong enough to have something to climb
            nn.init.normal_(convolution.weight)
    return model.eval()


def identity() -> nn.Sequential:
    """Channels 0, 1 and 2 are red, green and blue."""
    model = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False))
    nn.init.dirac_(model[0].weight)
    return model
