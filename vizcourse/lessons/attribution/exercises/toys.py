"""Tiny networks and functions with known gradients, which the exercises' cases are made of."""

import torch
from torch import nn


class Toy(nn.Module):
    """A tiny network with random weights: two convolutions, so that gradients differ from place to place."""

    def __init__(self, seed, channels=4, classes=3):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv1 = nn.Conv2d(3, channels, 3, padding=1)
            self.relu1 = nn.ReLU()
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
            self.relu2 = nn.ReLU()
            self.fc = nn.Linear(channels, classes)
            for module in (self.conv1, self.conv2, self.fc):
                module.weight.data *= 3
        self.requires_grad_(False).eval()

    def forward(self, images):
        hidden = self.relu2(self.conv2(self.relu1(self.conv1(images))))
        return self.fc(hidden.mean(dim=(2, 3)))

    def __repr__(self):
        return "a small CNN with the layers 'conv1', 'relu1', 'conv2', 'relu2' and 'fc'"


def _batch(images):
    """What a network would say too: without the batch axis, values would only be right where there is one colour."""
    if images.ndim != 4:
        raise ValueError(f"score takes a batch of pictures, (N, C, H, W), and was given {tuple(images.shape)}")
    return images


class Nested(nn.Module):
    """The same inside a block, so that some parts have a dot in their names."""

    def __init__(self, seed, channels=2, classes=2):
        super().__init__()
        self.features = Toy(seed, channels, classes)

    def forward(self, images):
        return self.features(images)

    def __repr__(self):
        return "a small CNN with the parts 'features.conv1', 'features.conv2' and 'features.fc'"


class Score:
    """One logit of a toy network, as a function of pictures: (N, 3, H, W) -> (N,)."""

    def __init__(self, seed, target):
        self.model, self.target = Toy(seed), target

    def __call__(self, images):
        return self.model(_batch(images))[:, self.target]

    def __repr__(self):
        return f"the logit of class {self.target} of a small CNN"


class Hinge:
    """max(0, total − 1): the function of exercise 3.4, for pictures of any shape."""

    def __call__(self, images):
        return (_batch(images).flatten(1).sum(1) - 1).relu()

    def __repr__(self):
        return "max(0, sum of all pixels − 1)"


class Squares:
    """The sum of the squares of all values."""

    def __call__(self, images):
        return _batch(images).square().flatten(1).sum(1)

    def __repr__(self):
        return "the sum of the squares of all pixels"
