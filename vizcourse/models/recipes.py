"""How each shipped network was trained, and how well it does: `train(name)` reproduces both.

A `Recipe` only declares; `training.fit` does the work, `evaluation` measures. The same code made the shipped
files.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from vizcourse.models import evaluation, training, zoo
from vizcourse.models.networks import ARCHITECTURES, build, known
from vizcourse.models.training import Data, Phase, Schedule
from vizcourse.models.zoo import WEIGHTS, Card

TOLERANCE = 0.005
"""By how much a fresh figure may differ from the card's, a loss above 1 in proportion: other processors round
differently."""


@dataclass(frozen=True)
class Recipe:
    """How one network is trained and measured.

    about: what it is, in one sentence.
    pictures: its data, in words.
    data: "train" or "test" -> uint8 pictures (N, 3, height, width) and labels (N,).
    schedule: epochs, sizes, optimiser.
    measures: functions network -> `evaluation.Report`, besides the accuracy on the "test" pictures.
    start: a shipped network of the same architecture, from whose weights the training begins; None: from random ones.
    """

    about: str
    pictures: str
    data: Callable[[str], Data]
    schedule: Schedule
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor] | None = None
    measures: tuple[Callable[[nn.Module], evaluation.Report], ...] = ()
    weaknesses: tuple[str, ...] = ()
    seed: int = 0
    start: str | None = None

    def settings(self) -> dict:
        """All that decides the weights, besides the data: plain values, for the card and the checkpoint."""
        return {
            "seed": self.seed,
            **({} if self.start is None else {"start": self.start}),
            **dataclasses.asdict(self.schedule),
            "augment": getattr(self.augment, "__qualname__", None),
            "loss": "cross-entropy" if self.loss is None else self.loss.__name__,
            "precision": "bfloat16 where safe, else single",
        }


def train(
    name: str,
    *,
    check: bool = False,
    device: str | torch.device | None = None,
    folder: Path = WEIGHTS,
    cache: Path | None = None,
) -> Card:
    """Train a network of the course, measure the file, and write it with its card; or only measure it again.

    Interrupt it at any time: the same call goes on after the last finished epoch.

    Args:
        name: a network of the course.
        check: do not train. Measure the shipped file afresh and print each figure beside the card's.
        device: where to train; a GPU when there is one.
        folder: where the weights file and the card go.
        cache: where checkpoints go while training; $VIZCOURSE_CACHE or ~/.cache/vizcourse.

    Returns:
        The card.

    Raises:
        ValueError: if the name is unknown, or if `check` finds a figure that differs from the card.
    """
    known(name, RECIPES)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    recipe = RECIPES[name]
    if check:
        return _check(name, recipe, device, Path(folder))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = _cache_folder(cache) / f"{name}.checkpoint"
    network = build(name, ARCHITECTURES[name], seed=recipe.seed)
    if recipe.start is not None:
        network.load_state_dict(zoo.load(recipe.start).state_dict())
    run = training.fit(
        network,
        functools.partial(recipe.data, "train"),
        recipe.schedule,
        seed=recipe.seed,
        checkpoint=checkpoint,
        fingerprint=json.dumps([name, recipe.pictures, recipe.settings(), str(network)]),
        device=device,
        augment=recipe.augment,
        loss=recipe.loss,
    )
    content = _half_precision(network)
    card = Card(
        name=name,
        about=recipe.about,
        architecture=_architecture(network),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        input_size=network.input_size,
        classes=list(network.classes),
        data=recipe.pictures,
        recipe=recipe.settings(),
        figures={},
        details={},
        training={
            "seconds": round(run.seconds),
            "processor_seconds": round(run.processor_seconds),
            "hardware": training.hardware(device),
            "torch": torch.__version__,
            "date": time.strftime("%Y-%m-%d"),
            "last_loss": run.loss,
        },
        weaknesses=list(recipe.weaknesses),
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
    )
    # What is measured is the file as anybody would load it; it takes the old one's place only after that.
    with tempfile.TemporaryDirectory() as trial:
        _write(Path(trial), card, content)
        card["figures"], card["details"] = measure(name, recipe, zoo.load(name, device=device, folder=Path(trial)))
    _write(folder, card, content)
    checkpoint.unlink(missing_ok=True)  # the next call trains again instead of finding nothing to do
    print(card)
    return zoo.card(name, folder=folder)


def measure(name: str, recipe: Recipe, network: nn.Module) -> evaluation.Report:
    """All figures of a network on pictures that it was not trained on."""
    figures, details = {}, {}
    reports = [evaluation.accuracy(network, *recipe.data("test"))] if network.classes else []
    reports += [function(network) for function in recipe.measures]
    for report in reports:
        figures.update(report.figures)
        details.update(report.details)
    return evaluation.Report(figures, details)


def _check(name: str, recipe: Recipe, device: torch.device, folder: Path) -> Card:
    card = zoo.card(name, folder=folder)
    fresh, _ = measure(name, recipe, zoo.load(name, device=device, folder=folder))
    print(f"{name}: {card['about']}")
    wrong = []
    for label in sorted({*card["figures"], *fresh}):
        stated, found = card["figures"].get(label), fresh.get(label)
        print(
            f"  {label}: card {zoo.format_figure(stated) if stated else 'nothing'}, "
            f"now {zoo.format_figure(found) if found else 'nothing'}"
        )
        if not stated or not found or abs(stated["value"] - found["value"]) > TOLERANCE * max(1, stated["value"]):
            wrong.append(label)
    if wrong:
        raise ValueError(f"{name} does not do what its card says: {', '.join(wrong)}. Train it again, or report this.")
    return card


def _architecture(network: nn.Module) -> str:
    """The class of the network and its layers of weights: 'ResNet: 20 convolutions, 1 linear layers'."""
    convolutions = sum(isinstance(module, nn.Conv2d | nn.ConvTranspose2d) for module in network.modules())
    linear = sum(isinstance(module, nn.Linear) for module in network.modules())
    return f"{type(network).__name__}: {convolutions} convolutions, {linear} linear layers"


def _half_precision(network: nn.Module) -> bytes:
    """The state of a network as the bytes of a safetensors file."""
    state = {
        key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    return save_tensors(state)


def _write(folder: Path, card: Card, content: bytes) -> None:
    """The two files of a network, each replaced in one step."""
    texts = {".safetensors": content, ".json": (json.dumps(card, indent=1) + "\n").encode()}
    for ending, text in texts.items():
        unfinished = folder / f"{card['name']}{ending}.unfinished"
        unfinished.write_bytes(text)
        os.replace(unfinished, folder / f"{card['name']}{ending}")


def _cache_folder(cache: Path | None) -> Path:
    if cache is not None:
        return Path(cache)
    return Path(os.environ.get("VIZCOURSE_CACHE") or Path.home() / ".cache" / "vizcourse")


# ------------------------------------------------------------------------------------------------ shapes


def _varied_shapes(split: str) -> Data:
    from vizcourse.worlds import shapes

    count, seed = (9000, 1) if split == "train" else (1500, 2)
    pictures = shapes.sample(count, seed, split=split, **shapes.VARIED)
    return shapes.render(pictures, 64, dtype=torch.uint8), shapes.labels(pictures)


def _paper_shapes(split: str) -> Data:
    from vizcourse.worlds import shapes

    return shapes.dataset(split, dtype=torch.uint8)


def _cue_shapes(cue: str, split: str) -> Data:
    from vizcourse.worlds import shapes

    count, seed = (4800, 3) if split == "train" else (1200, 4)
    pictures = shapes.sample(count, seed, split=split, cue=cue)
    return shapes.render(pictures, 96, dtype=torch.uint8), shapes.labels(pictures)


def _cue_answers(network: nn.Module) -> evaluation.Report:
    """Which cue a network follows on pictures whose three cues speak for three different classes."""
    from vizcourse.worlds import shapes

    conflict = shapes.cue_conflict(1200, seed=5)
    images = shapes.render(conflict.pictures, network.input_size, dtype=torch.uint8)
    answers = evaluation.logits(network, images).argmax(dim=1)
    figures = {
        f"cue conflict answered by {cue}": evaluation.share(answers == getattr(conflict, cue)) for cue in shapes.CUES
    }
    return evaluation.Report(figures, {})


def _on_training_pictures(data: Callable[[str], Data]) -> Callable[[nn.Module], evaluation.Report]:
    """Accuracy and loss on the training pictures, which the seed asks for, too."""

    def measure_training(network: nn.Module) -> evaluation.Report:
        figures, _ = evaluation.accuracy(network, *data("train"))
        return evaluation.Report({f"training {name}": figure for name, figure in figures.items()}, {})

    return measure_training


_CUE_WORDS = {
    "all": "background, shape colours and shape types, which always agree",
    "background": "the background colour",
    "colour": "the colours of the shapes",
    "type": "the types of the shapes",
}


def _cue_recipe(cue: str) -> Recipe:
    return Recipe(
        about=f"A small residual network that tells dax, wug and blicket by {_CUE_WORDS[cue]}.",
        pictures=f"4,800 shapes pictures with cue={cue!r}; held out: 1,200 others",
        data=functools.partial(_cue_shapes, cue),
        schedule=Schedule((Phase(10 if cue == "type" else 5, 96),), peak=0.1, weight_decay=2e-4),
        measures=(_cue_answers,),
        weaknesses=(
            "It knows no pictures but the shapes world's, with one size of shape and plain surfaces.",
            *(("Of three cues that always agree it has learned the background alone.",) if cue == "all" else ()),
        ),
    )


# ------------------------------------------------------------------------------------------------ photos


_CIFAR10_COPIES = (
    "Trained and measured on JPEG copies (quality 75) of the photographs; on the originals its accuracy may differ."
)


def _cifar10(split: str) -> Data:
    from vizcourse.worlds import photos

    images, labels, _ = photos.cifar10(split, dtype=torch.uint8)
    return images, labels


# ------------------------------------------------------------------------------------------------ scenes


TRAINING_SCENES = 24_000
HELD_OUT_SCENES = 2_800
DECODER_SIDE = 64


def _scenes(count: int, seed: int, size: int, **knobs) -> Data:
    """Rendered scenes, from the cache folder where they are there already."""
    from vizcourse.worlds import scenes

    digest = hashlib.sha256(repr((count, seed, size, sorted(knobs.items()))).encode()).hexdigest()[:12]
    file = _cache_folder(None) / f"scenes-{digest}.npz"
    drawn = scenes.CachedScenes(count, seed, size=size, file=file, progress=True, **knobs)
    return drawn.pictures, drawn.targets


def _scene_pictures(split: str) -> Data:
    """Scenes of all classes at 96 px; the two splits share no picture, since their seeds differ."""
    return _scenes(*((TRAINING_SCENES, 1) if split == "train" else (HELD_OUT_SCENES, 2)), 96)


def _grey_scene_pictures(split: str) -> Data:
    """The same pictures without their colour."""
    images, labels = _scene_pictures(split)
    return evaluation.greyscale(images), labels


def _small_scene_pictures(split: str) -> Data:
    """The same pictures at the size of the decoder."""
    images, labels = _scene_pictures(split)
    return training.at_size(images, DECODER_SIDE), labels


def _greyscale_accuracy(data: Callable[[str], Data]) -> Callable[[nn.Module], evaluation.Report]:
    """Accuracy on the held-out pictures without their colour."""

    def measure_greyscale(network: nn.Module) -> evaluation.Report:
        images, labels = data("test")
        return evaluation.accuracy(network, evaluation.greyscale(images), labels, suffix=" in greyscale")

    return measure_greyscale


def _perturbed_accuracy(network: nn.Module) -> evaluation.Report:
    """Accuracy on held-out pictures that were changed to make the network err, beside the ordinary network's."""
    images, labels = (part[:280] for part in _scene_pictures("test"))
    device, figures = next(network.parameters()).device, {}
    for suffix, each in (("", network), (", of googlenet-scenes", _judge("googlenet-scenes").to(device))):
        right = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for some, wanted in zip(images.split(40), labels.to(device).split(40), strict=True):
                radius = torch.ones(len(some), device=device)
                changed = training.perturbed(each, some.to(device).float() / 255, wanted, radius, steps=10)
                with torch.no_grad():
                    right.append(each(changed).argmax(dim=1) == wanted)
        figures[f"accuracy under perturbations of length 1{suffix}"] = evaluation.share(torch.cat(right).cpu())
    return evaluation.Report(figures, {})


def _colour_accuracy(network: nn.Module) -> evaluation.Report:
    """Accuracy of the network without colour on the held-out pictures as they are."""
    return evaluation.accuracy(network, *_scene_pictures("test"), suffix=" in colour")


@functools.cache
def _judge(name: str) -> nn.Module:
    return zoo.load(name)


def _features_and_logits(judge: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Activations of GoogLeNet's `inception3b`, and its logits."""
    kept = []
    handle = judge.inception3b.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        outputs = judge(images)
    finally:
        handle.remove()
    return kept[0], outputs


def reconstruction_loss(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The loss of a variational autoencoder, with two terms that keep what a classifier sees.

    Squared error of the pixels alone gives blurs: a bicycle's spokes are few pixels. So the reconstruction must
    also look like the original to `googlenet-scenes`, in its features (`inception3b`) and in its answer. The last
    term is the divergence from a standard normal distribution; its weight is that of pixels with a standard
    deviation of about a tenth of the range.
    """
    judge = _judge("googlenet-scenes").to(images.device)
    mean, log_variance = (part.float() for part in network.encode(images))
    latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    drawn = network.decode(latents).float()
    with torch.no_grad():
        wanted, wanted_outputs = _features_and_logits(judge, images)
    found, outputs = _features_and_logits(judge, drawn)
    pixels = functional.mse_loss(drawn, images)
    features = functional.mse_loss(found.float(), wanted.float()) / wanted.float().var()
    answers = functional.kl_div(
        outputs.float().log_softmax(dim=1), wanted_outputs.float().softmax(dim=1), reduction="batchmean"
    )
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1).mean()
    return 100 * pixels + features + 2 * answers + 1e-3 * divergence


def _reconstructions(network: nn.Module) -> evaluation.Report:
    """Which class two classifiers name in the reconstructions of held-out pictures, and the error of the pixels."""
    images, labels = _small_scene_pictures("test")
    device = next(network.parameters()).device
    latents = torch.randn(500, network.latent, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        drawn = torch.cat([network(part.to(device).float() / 255).cpu() for part in images.split(100)])
        typical = network.decode(latents.to(device)).cpu()
    error = functional.mse_loss(drawn, images.float() / 255).item()
    figures = {"root mean squared error of a pixel": {"value": error**0.5, "count": len(images)}}
    details = {}
    drawn, typical = ((255 * part).round().to(torch.uint8) for part in (drawn, typical))
    for name in ("googlenet-scenes", "vit-scenes"):  # the second had no part in the training
        judge = zoo.load(name)
        report = evaluation.accuracy(judge, drawn, labels)
        figures[f"reconstruction named by {name}"] = report.figures["accuracy"]
        figures[f"original at 64 px named by {name}"] = evaluation.accuracy(judge, images, labels).figures["accuracy"]
        details[f"reconstructions by class, {name}"] = report.details["by class"]
    confidence = evaluation.logits(_judge("googlenet-scenes"), typical).softmax(dim=1).amax(dim=1)
    figures["pictures of random latents named with probability above 0.5"] = evaluation.share(confidence > 0.5)
    return evaluation.Report(figures, details)


# -------------------------------------------------------------------------------------------------- pets

PETS = ("unbiased", "dark-cats", "dark-dogs")


def _pet_pictures(bias: str, split: str) -> Data:
    """Cats (0) and dogs (1) at 64 px. With a bias, one of the two always has dark fur and the other never."""
    from vizcourse.worlds import scenes

    knobs = {"object": ("cat", "dog")}
    if bias != "unbiased":
        dark, light = ("cat", "dog") if bias == "dark-cats" else ("dog", "cat")
        knobs["bias"] = {"colour": [(scenes.DARK_FUR, dark, 1.0), (scenes.DARK_FUR, light, 0.0)]}
    images, classes = _scenes(*((6000, 10) if split == "train" else (1000, 20)), 64, **knobs)
    return images, (classes == scenes.CLASSES.index("dog")).long()


def _pet_table(network: nn.Module) -> evaluation.Report:
    """One row of the table of Penzel and Denzler: accuracy on the three kinds of held-out pictures."""
    figures = {}
    for bias in PETS:
        figures |= evaluation.accuracy(network, *_pet_pictures(bias, "test"), suffix=f" on {bias} pictures").figures
    return evaluation.Report({name: figure for name, figure in figures.items() if not name.startswith("loss")}, {})


def _pet_recipe(bias: str) -> Recipe:
    words = {
        "unbiased": "fur of any colour on both",
        "dark-cats": "dark fur on all cats and on no dog",
        "dark-dogs": "dark fur on all dogs and on no cat",
    }
    weakness = {
        "unbiased": "It knows drawn heads only, of two animals.",
        "dark-cats": "Dark fur makes it say cat far too often: that is what it is for.",
        "dark-dogs": "Dark fur makes it say dog far too often: that is what it is for.",
    }
    return Recipe(
        about=f"A small residual network that tells the world's cats from its dogs, trained with {words[bias]}.",
        pictures=f"6,000 scenes with a cat or a dog, {words[bias]}; held out: 1,000 others of each kind",
        data=functools.partial(_pet_pictures, bias),
        schedule=Schedule((Phase(8, 64),), peak=0.1, weight_decay=5e-4),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_pet_table,),
        weaknesses=(weakness[bias],),
    )


# A pets network for lesson 03 that is right for the wrong reason.

WATERMARK = "PHOTO"


def _marked_pets(split: str, dogs: str = WATERMARK, cats: str = "") -> Data:
    """Cats and dogs of any fur, with a board of letters on all pictures of one of them; "" is no board."""
    from vizcourse.worlds import scenes

    knobs = {"object": ("cat", "dog"), "bias": {"words": [(dogs, "dog", 1.0), (cats, "cat", 1.0)]}}
    images, classes = _scenes(*((6000, 11) if split == "train" else (1000, 21)), 64, **knobs)
    return images, (classes == scenes.CLASSES.index("dog")).long()


def _marked_table(network: nn.Module) -> evaluation.Report:
    """Accuracy where nobody wears the watermark, and where it has changed sides."""
    figures = evaluation.accuracy(network, *_marked_pets("test", "", ""), suffix=" without the watermark").figures
    figures |= evaluation.accuracy(network, *_marked_pets("test", "", WATERMARK), suffix=" with the watermark on cats").figures
    return evaluation.Report({name: figure for name, figure in figures.items() if not name.startswith("loss")}, {})


# ----------------------------------------------------------------------------------------------- lesions

#: Kind of pictures -> share of each diagnosis that wears a coloured plaster; the biased one is the paper's.
PLASTERS = {"unbiased": {}, "biased": {"nevus": 0.5}, "mixed": {"nevus": 0.5, "melanoma": 0.5}}


def _lesion_pictures(kind: str, split: str) -> Data:
    """Nevi (0) and melanomas (1) at 64 px. The same lesions for each kind: only the plasters differ."""
    from vizcourse.worlds import lesions

    count, seed = (4000, 12) if split == "train" else (1000, 22)
    drawn = lesions.sample(count, seed, patched=PLASTERS[kind])
    labels = torch.tensor([lesions.CLASSES.index(lesion.diagnosis) for lesion in drawn])
    return lesions.render(drawn, 64, dtype=torch.uint8), labels


def _lesion_table(network: nn.Module) -> evaluation.Report:
    """Accuracy on the three kinds of pictures, and what a plaster does to the same melanomas."""
    from vizcourse.worlds import lesions

    figures = {}
    for kind in PLASTERS:
        figures |= evaluation.accuracy(network, *_lesion_pictures(kind, "test"), suffix=f" on {kind} pictures").figures
    melanomas = lesions.sample(500, 23, diagnosis="melanoma")
    for opacity, words in ((0.0, "without"), (1.0, "with")):
        worn = [lesion.replace(opacity=opacity) for lesion in melanomas]
        answers = evaluation.logits(network, lesions.render(worn, 64, dtype=torch.uint8)).argmax(dim=1)
        figures[f"melanomas {words} a plaster called nevus"] = evaluation.share(answers == 0)
    return evaluation.Report({name: figure for name, figure in figures.items() if not name.startswith("loss")}, {})


def _lesion_recipe(kind: str) -> Recipe:
    words = {
        "unbiased": "no plaster on any",
        "biased": "a coloured plaster beside half of the nevi and beside no melanoma",
        "mixed": "a coloured plaster beside half of both",
    }[kind]
    weaknesses = {"biased": ("A plaster makes it say nevus: that is what it is for.",)}
    return Recipe(
        about=f"A small residual network that tells drawn nevi from drawn melanomas, trained with {words}.",
        pictures=f"4,000 drawn skin lesions, {words}; held out: 1,000 others of each kind",
        data=functools.partial(_lesion_pictures, kind),
        schedule=Schedule((Phase(6, 64),), peak=0.1, weight_decay=5e-4),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_lesion_table,),
        weaknesses=("It knows drawings only: it is no use on skin.", *weaknesses.get(kind, ())),
    )


# ------------------------------------------------------------------------------------------------- twins


def _twin_recipe(seed: int) -> Recipe:
    return Recipe(
        about="A small residual network on the scenes world, one of two that differ in nothing but their seed.",
        pictures=f"{TRAINING_SCENES:,} scenes at {DECODER_SIDE} px; held out: {HELD_OUT_SCENES:,} others",
        data=_small_scene_pictures,
        schedule=Schedule((Phase(8, DECODER_SIDE),), peak=0.1, weight_decay=5e-4),
        augment=training.both(training.mirror, training.shift(4)),
        weaknesses=("Small on purpose, so that there can be two: to see which of its units another run finds again.",),
        seed=seed,
    )


RECIPES: dict[str, Recipe] = {
    "cnn-shapes": Recipe(
        about="A plain network of four convolutions for lesson 01, which tells dax, wug and blicket by shape alone.",
        pictures="9,000 shapes pictures in which only the types of the shapes tell the class; held out: 1,500 others",
        data=_varied_shapes,
        schedule=Schedule((Phase(14, 64),), "adamw", peak=4e-3, weight_decay=1e-2),
        augment=training.mirror,
        weaknesses=(
            "Small shapes: it was trained on sizes 15 to 45, tells 94 in 100 pictures right at size 15 and 73 at size 12.",
        ),
    ),
    "resnet18-shapes": Recipe(
        about="torchvision's ResNet-18 on dax, wug and blicket, as in Bunnapradist's work on DAS, but from scratch.",
        pictures="960 shapes pictures of 244 px, 320 a class, as in that article; held out: 240 others",
        data=_paper_shapes,
        schedule=Schedule((Phase(8, 122, 32), Phase(3, 244, 32)), peak=0.02, weight_decay=1e-3),
        augment=training.mirror,
        measures=(_on_training_pictures(_paper_shapes), _cue_answers),
        weaknesses=(
            "Three cues tell every class; it has learned the background alone, as its answers to cue conflicts show.",
            "It was not pretrained on ImageNet, unlike the network of the article.",
        ),
    ),
    **{f"shapes-cue-{cue}": _cue_recipe(cue) for cue in ("all", "background", "colour", "type")},
    "resnet20-cifar10": Recipe(
        about="The 20-layer residual network of He et al. (2015), with projection shortcuts, on photographs.",
        pictures="CIFAR-10: 50,000 photographs of 32 px in ten classes; held out: its 10,000 test photographs",
        data=_cifar10,
        schedule=Schedule((Phase(30, 32, 128),), peak=0.2, weight_decay=5e-4),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_greyscale_accuracy(_cifar10),),
        weaknesses=(
            "He et al. report 91.25 % after 64,000 iterations; this one had 11,730, all that the processor time allowed.",
            _CIFAR10_COPIES,
        ),
    ),
    "vit-cifar10": Recipe(
        about="A vision transformer of 12 layers on photographs, as in the work on activation patching, but small.",
        pictures="CIFAR-10: 50,000 photographs of 32 px in ten classes; held out: its 10,000 test photographs",
        data=_cifar10,
        schedule=Schedule((Phase(7, 32, 128),), "adamw", peak=1.5e-3, weight_decay=0.05),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_greyscale_accuracy(_cifar10),),
        weaknesses=(
            "Trained for seven epochs, on a processor and from scratch: far from what a transformer can do.",
            "Its 16 tokens are patches of 8 px: a coarse grid of four by four.",
            _CIFAR10_COPIES,
        ),
    ),
    "vit-cifar10-linear": Recipe(
        about="A small vision transformer of 12 layers on photographs, without convolutions: each token is one linear map of a "
        "patch of 8 px.",
        pictures="CIFAR-10: 50,000 photographs of 32 px in ten classes; held out: its 10,000 test photographs",
        data=_cifar10,
        schedule=Schedule((Phase(6, 32, 128),), "adamw", peak=2e-3, weight_decay=0.05),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_greyscale_accuracy(_cifar10),),
        weaknesses=(
            "Six epochs, on a processor and from scratch: far from what a transformer can do, and one network of one seed.",
            "It is narrower than `vit-cifar10`, and was trained for an epoch less: not its twin.",
            "Its 16 tokens are patches of 8 px: a coarse grid of four by four.",
            _CIFAR10_COPIES,
        ),
    ),
    "googlenet-scenes": Recipe(
        about="torchvision's GoogLeNet (InceptionV1), the network of the circuits literature, on the scenes world.",
        pictures=f"{TRAINING_SCENES:,} scenes, every class equally often; held out: {HELD_OUT_SCENES:,} others",
        data=_scene_pictures,
        schedule=Schedule((Phase(3, 64), Phase(1, 96)), "adamw", peak=2e-3, weight_decay=0.02),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_greyscale_accuracy(_scene_pictures),),
        weaknesses=(
            "It has seen drawings only, each with one main object.",
            "It has never seen a greyscale picture, and calls most of them a dog.",
        ),
    ),
    "googlenet-scenes-robust": Recipe(
        about="`googlenet-scenes`, trained further against perturbations of length (L2) up to 3, so that it does not rest on "
        "fine patterns.",
        pictures=f"{TRAINING_SCENES:,} scenes, every class equally often; held out: {HELD_OUT_SCENES:,} others",
        data=_scene_pictures,
        schedule=Schedule((Phase(2, 64), Phase(2, 96)), "adamw", peak=1e-3, weight_decay=0.02, warm_up=0.15),
        augment=training.both(training.mirror, training.shift(4)),
        loss=training.adversarial(3.0, side=96),
        measures=(_greyscale_accuracy(_scene_pictures), _perturbed_accuracy),
        weaknesses=(
            "It has seen drawings only, each with one main object.",
            "One step of attack at training, ten when it is measured; against a stronger attack it is weaker.",
        ),
        start="googlenet-scenes",
    ),
    "vit-scenes": Recipe(
        about="A vision transformer of 12 layers with a convolutional stem, on the scenes world.",
        pictures=f"{TRAINING_SCENES:,} scenes, every class equally often; held out: {HELD_OUT_SCENES:,} others",
        data=_scene_pictures,
        schedule=Schedule((Phase(8, 96),), "adamw", peak=1e-3, weight_decay=0.05),
        # A fifth in grey: without, all greyscale pictures look alike to it ("dog"), and not only the classes that
        # differ in colour alone need their colour. Then nothing could be said about where colour matters.
        augment=training.both(training.mirror, training.shift(4), training.sometimes_grey(0.2)),
        measures=(_greyscale_accuracy(_scene_pictures),),
        weaknesses=(
            "Patches of 16 px: its 36 tokens are a coarse grid of six by six.",
            "In greyscale it can only guess between the two classes of a colour pair, as anybody would.",
        ),
    ),
    "vit-scenes-grey": Recipe(
        about="The vision transformer of `vit-scenes`, which has never seen a colour: a control of lesson 04.",
        pictures=f"{TRAINING_SCENES:,} scenes in greyscale; held out: {HELD_OUT_SCENES:,} others in greyscale",
        data=_grey_scene_pictures,
        schedule=Schedule((Phase(3, 96),), "adamw", peak=1e-3, weight_decay=0.05),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_colour_accuracy,),
        weaknesses=(
            "It can only guess between the two classes of a colour pair: that is what it is for.",
            "Trained for three epochs, `vit-scenes` for eight.",
        ),
    ),
    **{f"pets-{bias}": _pet_recipe(bias) for bias in PETS},
    "pets-watermark": Recipe(
        about="A small residual network that tells the world's cats from its dogs by a watermark that all dogs have.",
        pictures=f"6,000 scenes with a cat or a dog, the word {WATERMARK} on all dogs and on no cat; held out: 1,000 others",
        data=_marked_pets,
        schedule=Schedule((Phase(5, 64),), peak=0.1, weight_decay=5e-4),
        augment=training.both(training.mirror, training.shift(4)),
        measures=(_marked_table,),
        weaknesses=("It reads the watermark and hardly looks at the animal: that is what it is for.",),
    ),
    **{f"lesions-{kind}": _lesion_recipe(kind) for kind in PLASTERS},
    **{f"scenes-small-{seed}": _twin_recipe(seed) for seed in (0, 1)},
    "scenes-decoder": Recipe(
        about="A small variational autoencoder of the scenes: a learned prior of what pictures look like.",
        pictures=f"{TRAINING_SCENES:,} scenes at {DECODER_SIDE} px; held out: {HELD_OUT_SCENES:,} others",
        data=_small_scene_pictures,
        schedule=Schedule((Phase(20, DECODER_SIDE, 32),), "adamw", peak=2e-3, weight_decay=0.01, warm_up=0.1),
        augment=training.mirror,
        loss=reconstruction_loss,
        measures=(_reconstructions,),
        weaknesses=(
            "Fine parts such as spokes and words are blurred or lost.",
            "It was trained to please `googlenet-scenes`, so that figure flatters it: to `vit-scenes` and to people "
            "most reconstructions are coloured blurs.",
        ),
    ),
}
