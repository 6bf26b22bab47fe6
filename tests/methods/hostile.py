"""What the tests of hostile inputs stand on: tiny networks, values that must be refused, and rows of a table."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import torch
import torchvision
from torch import Tensor, nn

from vizcourse.methods import concepts, das

NAN, INF = float("nan"), float("inf")

# ------------------------------------------------------------------------------------------------------ tiny networks


class Tiny(nn.Module):
    """Two convolutions and a linear layer, with a layer that never runs."""

    def __init__(self, head: nn.Module | None = None):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4 * 64, 5)
        self.last = head or nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.head(self.second(self.first(images).relu()).relu().flatten(1)))


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval().requires_grad_(False)


CNN = seeded(Tiny)
SOFTMAX = seeded(lambda: Tiny(nn.Softmax(1)))
VIT = seeded(lambda: torchvision.models.VisionTransformer(8, 4, 2, 2, 8, 8, num_classes=5))
nn.init.normal_(VIT.heads.head.weight, generator=torch.Generator().manual_seed(0))


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


IMAGES, OTHERS = random(2, 3, 8, 8), random(2, 3, 8, 8, seed=1)
MAPS, MASKS = random(2, 8, 8, seed=2), torch.zeros(2, 8, 8, dtype=torch.bool)
MASKS[:, 2:5, 2:5] = True
PHOTO = random(3, 8, 8)
STEPS = random(6, 3, 8, 8, seed=3)
VECTORS = random(40, 4, seed=4)
with torch.no_grad():
    ANSWERS = CNN(IMAGES)
    vectors = concepts.pointwise_feature_vectors(CNN, IMAGES, "first").movedim(1, -1).flatten(0, 2)
CONCEPTS = concepts.extract_concepts(vectors, 3, layer="first")
# A direction and its opposite: whatever happens, one of them is moved forward.
LATER = concepts.Concepts("second", torch.eye(4)[[0, 0, 1]] * torch.tensor([[1.0], [-1.0], [1.0]]))
SITE = das.Site(CNN, IMAGES, OTHERS, "first")
LABELS = torch.tensor([0, 1])

# ------------------------------------------------------------------------------------------------------ hostile values

IMAGE_VALUES = {
    "None": lambda images: None,
    "a name": lambda images: "cat.jpg",
    "an array": lambda images: images.numpy(),
    "one image": lambda images: images[0],
    "none at all": lambda images: images[:0],
    "no pixels": lambda images: images[..., :0],
    "0 to 255": lambda images: (255 * images).byte(),
    "NaN": lambda images: with_one(images, NAN),
    "infinite": lambda images: with_one(images, INF),
}
NUMBER_VALUES = {"None": None, "a word": "much", "NaN": NAN, "infinite": INF}
MAP_VALUES = {
    "None": lambda maps: None,
    "another size": lambda maps: random(*maps.shape[:-1], 5).to(maps.dtype),
    "another number": lambda maps: maps[:1].repeat(3, *[1] * (maps.ndim - 1)),
}
VALUES = {
    "model": {"None": None, "a name": "resnet18", "a function": lambda images: ANSWERS},
    "images": IMAGE_VALUES,
    "image": {**IMAGE_VALUES, "one image": lambda image: image[0], "several": lambda image: image[None]},
    "target": {
        "a name": "dog", "names": ["dog", "cat"], "a share": 0.7, "true": True, "probabilities": torch.full((2, 5), 0.2),
        "negative": -1, "too many classes": 5, "another number": [0, 1, 2], "none at all": [], "NaN": torch.tensor([NAN, NAN]),
    },
    "labels": {
        "None": None, "names": ["dog", "cat"], "shares": [0.7, 0.3], "probabilities": torch.full((2, 5), 0.2),
        "negative": [0, -1], "too many classes": [0, 5], "another number": [0, 1, 2], "none at all": [], "one for all": 1,
    },
    "layer": {"None": None, "another name": "thrid", "a number": 3, "of another model": nn.ReLU(), "it never runs": "unused"},
    "count": {"0": 0, "negative": -1, "broken": 2.5, "a word": "many", "None": None},
    "natural": {"negative": -1, "broken": 2.5, "a word": "many", "None": None},
    "number": NUMBER_VALUES,
    "amount": {**NUMBER_VALUES, "negative": -0.5},
    "positive": {**NUMBER_VALUES, "negative": -0.5, "0": 0.0},
    "numbers": {"NaN": [0.5, NAN], "infinite": [0.5, INF], "words": ["much"], "None": None, "none at all": []},
    "choice": {"another word": "nonsense", "a number": 3},
    "maps": {**MAP_VALUES, "NaN": lambda maps: with_one(maps, NAN), "infinite": lambda maps: with_one(maps, INF)},
    "masks": {**MAP_VALUES, "empty": lambda masks: masks & ~masks},
    "fill": {
        "None": None, "another word": "black", "NaN": NAN, "another size": torch.zeros(3, 5, 5),
        "NaN in it": torch.full((3, 1, 1), NAN),
    },
    "tensor": {
        "None": lambda values: None,
        "a word": lambda values: "much",
        "another size": lambda values: random(*values.shape[:-1], values.shape[-1] + 1),
        "NaN": lambda values: with_one(values, NAN),
    },
}  # fmt: skip

#: The kind of an argument, by its name.
KINDS = {
    **dict.fromkeys(["model", "network", "trained", "shuffled"], "model"),
    **dict.fromkeys(["images", "clean", "corrupted", "base", "source", "pictures", "example"], "images"),
    **dict.fromkeys(["image", "photo", "other"], "image"),
    **dict.fromkeys(["batch", "steps", "samples", "permutations", "epochs", "k", "iterations", "draws", "variants"], "count"),
    **dict.fromkeys(
        ["neighbours", "fractions", "window", "stride", "coarse", "cell", "count", "dim", "patch", "size"], "count"
    ),
    **dict.fromkeys(["top", "shared", "order", "kernel", "classes", "concepts"], "count"),
    **dict.fromkeys(["padding", "frames", "derivative", "margin", "warm_up"], "natural"),
    **dict.fromkeys(["noise", "sigma", "penalty", "strength", "deviation", "cosine_power"], "amount"),
    **dict.fromkeys(["learning_rate", "epsilon", "width"], "positive"),
    **dict.fromkeys(["metric", "metrics", "rule", "dense", "method", "methods", "score", "direction", "component"], "choice"),
    **dict.fromkeys(["measure", "by", "optimizer", "layout", "orders"], "choice"),
    **dict.fromkeys(["fill", "baseline"], "fill"),
    **dict.fromkeys(["target", "labels", "layer", "maps", "masks", "numbers"], None),
}


def with_one(values: Tensor, value: float) -> Tensor:
    values = values.clone()
    values.view(-1)[-1] = value
    return values


# ------------------------------------------------------------------------------------------------------------- rows


class Row:
    def __init__(self, function, *, kinds=None, takes=(), only=None, name="", **arguments):
        module = inspect.getmodule(function).__name__.removeprefix("vizcourse.").removeprefix("methods.")
        self.module, self.function, self.arguments = module, function, arguments
        self.name = name or f"{module}.{function.__qualname__}"
        self.kinds, self.takes, self.only = kinds or {}, set(takes), only

    def run(self, **changes):
        found = self.function(**{**self.arguments, **changes})
        return list(found) if isinstance(found, Iterator) else found

    def hostile(self) -> Iterator[tuple[str, str, object]]:
        for argument, value in self.arguments.items():
            kind = self.kinds.get(argument, KINDS.get(argument, "") or argument)
            if kind is None or (self.only and argument not in self.only):
                continue
            values = kind if isinstance(kind, dict) else VALUES.get(kind, {})
            for case, bad in values.items():
                if f"{argument}: {case}" not in self.takes:
                    made = callable(bad) and kind != "model" and not isinstance(bad, nn.Module)
                    yield argument, case, bad(value) if made else bad
