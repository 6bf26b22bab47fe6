"""A small transformer for the checks, and what several exercises ask of it."""

import torch
from torch import nn
from torchvision.models.vision_transformer import VisionTransformer

from vizcourse.exercises.core import Problem


class ToyTransformer(VisionTransformer):
    """Four layers, five tokens and five classes, with torchvision's layer names and large random weights."""

    def __init__(self, seed, layers=4):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            super().__init__(image_size=8, patch_size=4, num_layers=layers, num_heads=2, hidden_dim=8, mlp_dim=8, num_classes=5)
            for parameter in self.parameters():
                nn.init.normal_(parameter, std=0.7)
        self.requires_grad_(False).eval()

    def __repr__(self):
        return f"a small transformer of {len(self.encoder.layers)} layers, named as in vit-scenes"


def toy_layers(count=4, part="self_attention"):
    """The names of one part of each layer, in order."""
    return [f"encoder.layers.encoder_layer_{number}.{part}" for number in range(count)]


def toy_runs(seed, pictures, layers=4):
    """A small transformer, its clean and corrupted pictures (pictures, 3, 8, 8), and their labels (pictures,)."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(pictures, 3, 8, 8, generator=generator)
    corrupted = clean.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    return ToyTransformer(seed, layers), clean, corrupted, torch.randint(0, 5, (pictures,), generator=generator)


def layer_cases(seed, *places):
    """Cases (model, layer, clean, corrupted, labels) from places (part of a layer, its number, how many pictures)."""
    for number, (part, layer, pictures) in enumerate(places):
        model, *runs = toy_runs(seed + number, pictures)
        yield model, toy_layers(part=part)[layer], *runs


def hook_problem(learner, model, *arguments):
    """A judge's word where a hook is still on the network after `learner(model, *arguments)`, or None."""
    learner(model, *arguments)
    for module in model.modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__:
            return Problem(mistake="hook-left")
    return None
