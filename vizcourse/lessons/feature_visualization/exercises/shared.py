"""What several exercises try a learner's code on."""

import torch
from torch import nn


class Toy(nn.Module):
    """A tiny smooth network with random weights, so that every picture has a gradient everywhere."""

    def __init__(self, seed, channels=5):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(3, channels, 3, padding=1)
            self.soft = nn.Softplus(beta=4)
            self.head = nn.Conv2d(channels, channels, 3)
            self.conv.weight.data *= 3
        self.requires_grad_(False).eval()

    def forward(self, images):
        return self.head(self.soft(self.conv(images))).mean(dim=(2, 3))

    def __repr__(self):
        return "a small CNN with the layers 'conv', 'soft' and 'head'"
