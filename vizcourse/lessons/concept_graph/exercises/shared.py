"""What the exercises on scores share: two stand-ins for the rest of a network, and concepts to put into them."""

import torch


class Score:
    """The rest of a network: activations (B, P, C) -> scores (B,), bent everywhere and not zero at zero."""

    def __init__(self, channels, seed, hidden=6):
        generator = torch.Generator().manual_seed(seed)
        self.first, self.shift = (torch.randn(*each, generator=generator) for each in ((channels, hidden), (hidden,)))
        self.second, self.third = (torch.randn(*each, generator=generator) for each in ((hidden, hidden), (hidden,)))

    def __call__(self, activations):
        _check_batch(activations)
        hidden = torch.nn.functional.gelu(activations @ self.first + self.shift).mean(dim=1)
        return (hidden @ self.second).tanh() @ self.third + 0.7

    def __repr__(self):
        return "a small network from activations (B, P, C) to scores (B,)"


class Square:
    """The sum of squares, plus one."""

    def __call__(self, activations):
        _check_batch(activations)
        return activations.square().sum(dim=(1, 2)) + 1

    def __repr__(self):
        return "the sum of the squared activations, plus 1"


def _check_batch(activations):
    if activations.ndim != 3:
        raise ValueError(
            f"`score` takes activations (B, P, C), and these are {tuple(activations.shape)}: for one point, add the first "
            "axis with `[None]`"
        )


def some_concepts(generator, count, size, channels):
    concepts = torch.nn.functional.normalize(torch.randn(size, channels, generator=generator), dim=1)
    return 1.5 * torch.randn(count, size, generator=generator), concepts
