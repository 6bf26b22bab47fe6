"""The table of hostile inputs: every public function with arguments that work, and what each of them must not be."""

from __future__ import annotations

import torch

from tests.methods.hostile import (
    ANSWERS,
    CNN,
    CONCEPTS,
    IMAGES,
    LABELS,
    LATER,
    MAPS,
    MASKS,
    NAN,
    OTHERS,
    PHOTO,
    SITE,
    SOFTMAX,
    STEPS,
    VALUES,
    VECTORS,
    VIT,
    Row,
    Tiny,
    random,
    seeded,
)
from vizcourse import hooks, models
from vizcourse.methods import (
    activation_patching,
    attention,
    attribution,
    concept_evaluation,
    concept_graph,
    concepts,
    convolution,
    corruptions,
    das,
    dataset_examples,
    feature_visualization,
    image_parameters,
    intervals,
    interventions,
    objectives,
    property_gradients,
    relevance,
    sanity_checks,
)
from vizcourse.models import evaluation

PIXELS = {"model": CNN, "images": IMAGES, "target": 1}
LAYERED = {**PIXELS, "layer": "first"}
OPTIONAL = ("target: None",)
PAIR = {"clean": IMAGES, "corrupted": OTHERS}


def capturing(model, images, layer):
    with torch.no_grad(), hooks.capture(model, [layer], stop=True) as acts:
        model(images)
    return acts[hooks.resolve(model, layer)[0]]


def replacing(model, images, layer, replacement):
    with torch.no_grad(), hooks.replace(model, {layer: replacement}):
        return model(images)


def overriding(model, images, layer, forward):
    with torch.no_grad(), hooks.override(model, {layer: forward}):
        return model(images)


def running_again(model, images, layer, activation, index):
    return hooks.replay(model, images, layer)(activation, index)


def patching(cells, tokens, direction):
    return activation_patching.record(VIT, IMAGES, OTHERS).patch(cells, tokens=tokens, direction=direction)


def rendering(objective, layer, **arguments):
    made = getattr(objectives, objective)(layer, **arguments)
    return feature_visualization.render(
        CNN, made, image=image_parameters.pixels(8), steps=1, transformations=(), progress=False
    )


HIDDEN = capturing(CNN, IMAGES, "first")
ALIGNED = das.align(CNN, IMAGES, OTHERS, LABELS, "first", dim=2, steps=2, progress=False)

ROWS = [
    # hooks
    Row(
        hooks.resolve,
        model=CNN,
        layer="first",
        kinds={"layer": {k: v for k, v in VALUES["layer"].items() if k != "it never runs"}},
    ),
    Row(capturing, name="hooks.capture", model=CNN, images=IMAGES, layer="first", only=("model", "layer")),
    Row(
        replacing,
        name="hooks.replace",
        model=CNN,
        images=IMAGES,
        layer="first",
        replacement=torch.zeros(1, 4, 8, 8),
        only=("model", "layer", "replacement"),
        kinds={
            "replacement": {
                "None": None,
                "another size": torch.zeros(1, 4, 8, 9),
                "a function of none": lambda hidden: lambda _: None,
                "a number": lambda hidden: lambda _: 3.0,
            }
        },
    ),
    Row(
        overriding,
        name="hooks.override",
        model=CNN,
        images=IMAGES,
        layer="first",
        forward=lambda images: HIDDEN,
        only=("model", "layer", "forward"),
        kinds={"forward": {"None": None, "a tensor": HIDDEN}},
    ),
    Row(
        running_again,
        name="hooks.replay",
        model=CNN,
        images=IMAGES,
        layer="first",
        activation=HIDDEN,
        index=torch.tensor([0, 1]),
        only=("model", "layer", "activation", "index"),
        takes=("activation: NaN",),
        kinds={
            "activation": "tensor",
            "index": {
                "too large": torch.tensor([0, 2]),
                "too many": torch.tensor([0, 1, 0]),
                "shares": torch.tensor([0.5, 0.5]),
                "negative": torch.tensor([0, -3]),
            },
        },
    ),
    Row(
        hooks.layout_of,
        model=CNN,
        layer="first",
        activation=HIDDEN,
        images=IMAGES,
        layout="channels_first",
        only=("model", "layer", "activation", "layout"),
        takes=("layer: it never runs", "activation: NaN"),
        kinds={
            "activation": {"None": None, "five axes": torch.zeros(2, 4, 8, 8, 1), "of other images": torch.zeros(3, 4, 8, 8)}
        },
    ),
    # models
    Row(
        lambda network: models.load(network, random=True),
        name="models.load",
        network="cnn-shapes",
        kinds={"network": {"None": None, "another name": "resnet19-shapes", "a number": 3}},
    ),
    Row(
        lambda network: models.card(network),
        name="models.card",
        network="cnn-shapes",
        kinds={"network": {"None": None, "another name": "resnet19-shapes", "a number": 3}},
    ),
    Row(
        evaluation.share,
        right=torch.tensor([True, False]),
        kinds={"right": {"None": None, "none at all": torch.ones(0).bool(), "shares": torch.tensor([0.5])}},
    ),
    # attribution
    Row(attribution.grad_cam, **LAYERED, layout="channels_first"),
    Row(attribution.layer_gradient, **LAYERED),
    Row(attribution.gradient, **PIXELS),
    Row(attribution.gradient_times_input, **PIXELS),
    Row(attribution.smooth_grad, **PIXELS, samples=2, noise=0.1),
    Row(attribution.integrated_gradients, **PIXELS, baseline=0.5, steps=2, batch=4),
    Row(attribution.guided_backprop, **PIXELS),
    Row(attribution.guided_grad_cam, **LAYERED),
    Row(attribution.relevance_propagation, **PIXELS, rule="z-plus", epsilon=1e-6),
    Row(attribution.occlusion, **PIXELS, window=4, stride=2, fill=0.5, batch=4),
    Row(
        attribution.upsample,
        maps=random(2, 4, 4),
        size=8,
        takes=("maps: another size", "maps: another number"),
        kinds={"maps": "maps"},
    ),
    Row(attribution.unit_range, maps=MAPS, takes=("maps: another size", "maps: another number")),
    Row(attribution.magnitude, attribution=IMAGES, kinds={"attribution": {"None": None, "one map": MAPS[0], "a list": [1.0]}}),
    Row(attribution.signed, attribution=IMAGES, kinds={"attribution": {"None": None, "one map": MAPS[0], "a list": [1.0]}}),
    Row(
        attribution.scores,
        outputs=ANSWERS,
        target=1,
        kinds={"outputs": {"None": None, "NaN": ANSWERS * NAN, "one answer": ANSWERS[0]}},
    ),
    Row(attribution.fixed_target, **PIXELS, takes=("target: too many classes",), only=("images", "target")),
    Row(
        relevance.propagate,
        model=CNN,
        images=IMAGES,
        target=lambda outputs: outputs[:, 0],
        rule="z-plus",
        dense="epsilon",
        epsilon=1e-6,
        kinds={"target": {"None": None, "a number": 1, "NaN": lambda target: lambda outputs: outputs[:, 0] * NAN}},
    ),
    # sanity checks
    Row(sanity_checks.blocks, model=CNN),
    Row(
        sanity_checks.randomize,
        model=CNN,
        names=["head"],
        kinds={"names": {"another name": ["fc"], "numbers": [3], "None": None}},
    ),
    Row(
        sanity_checks.cascade,
        **LAYERED,
        methods=("gradient",),
        names=["head"],
        takes=("layer: it never runs",),
        only=("model", "images", "target", "methods", "names"),
        kinds={"names": {"another name": ["fc"], "numbers": [3]}},
    ),
    Row(
        sanity_checks.cascade,
        name="sanity_checks.cascade of Grad-CAM",
        **LAYERED,
        methods=("Grad-CAM",),
        names=["head"],
        only=("layer",),
    ),
    Row(
        sanity_checks.data_randomization,
        trained=CNN,
        shuffled=SOFTMAX,
        images=IMAGES,
        target=1,
        methods=("gradient",),
        metric="spearman",
    ),
    Row(sanity_checks.spearman, first=MAPS, second=MAPS.flip(0), kinds={"first": "maps", "second": "maps"}),
    Row(
        sanity_checks.ssim, first=random(1, 16, 16), second=random(1, 16, 16, seed=1), kinds={"first": "maps", "second": "maps"}
    ),
    Row(
        sanity_checks.hog_similarity,
        first=random(1, 16, 16),
        second=random(1, 16, 16, seed=1),
        cell=4,
        kinds={"first": "maps", "second": "maps"},
    ),
    Row(
        sanity_checks.similarities,
        first=random(1, 16, 16),
        second=random(1, 16, 16, seed=1),
        kinds={"first": "maps", "second": "maps"},
    ),
    Row(sanity_checks.edge_detector, images=IMAGES),
    Row(
        sanity_checks.random_maps,
        count=2,
        size=(8, 8),
        coarse=3,
        kinds={"size": {"0": (0, 8), "one side": 8, "None": None, "broken": (2.5, 8)}},
    ),
    Row(
        sanity_checks.centre_gaussian,
        count=2,
        size=(8, 8),
        width=0.25,
        kinds={"size": {"0": (0, 8), "one side": 8, "None": None}},
    ),
    *(Row(way, **PIXELS, maps=MAPS, steps=2, fill=0.5, batch=2) for way in (sanity_checks.deletion, sanity_checks.insertion)),
    *(
        Row(way, maps=MAPS, masks=MASKS)
        for way in (sanity_checks.pointing_game, sanity_checks.energy_in_mask, sanity_checks.iou)
    ),
    Row(
        sanity_checks.share_between,
        maps=MAPS,
        first=MASKS,
        second=MASKS.flip(1, 2).roll(4, 1),
        kinds={"first": "masks", "second": "masks"},
    ),
    Row(
        sanity_checks.discrimination,
        for_first=MAPS,
        for_second=MAPS.flip(0),
        first=MASKS,
        second=MASKS.roll(4, 1),
        kinds={"for_first": "maps", "for_second": "maps", "first": "masks", "second": "masks"},
    ),
    # intervals
    Row(intervals.bootstrap, values=[0.5, 1.0], level=0.9, draws=10, kinds={"values": "numbers", "level": "positive"}),
    Row(
        intervals.bootstrap_bounds,
        values=random(3, 2),
        over=random(3) + 1,
        level=0.9,
        draws=10,
        kinds={"values": "numbers", "over": "numbers", "level": "positive"},
        takes=("over: None",),
    ),
    Row(
        intervals.bootstrap_by_group,
        values=[0.5, 1.0],
        groups=["a", "b"],
        level=0.9,
        draws=10,
        kinds={"values": "numbers", "groups": {"another number": ["a"], "None": None}, "level": "positive"},
    ),
    Row(intervals.wilson, hits=1, count=3, level=0.9, kinds={"hits": "natural", "level": "positive"}),
    # gradual interventions
    Row(property_gradients.logits, model=CNN, images=STEPS, batch=4),
    Row(property_gradients.respond, model=CNN, images=STEPS, target=1, metric="logit", batch=4),
    Row(
        property_gradients.property_effect,
        model=CNN,
        images=STEPS,
        target=1,
        values=torch.arange(6.0),
        metric="probability",
        permutations=3,
        order=2,
        batch=4,
        kinds={"values": "tensor"},
        takes=("values: None",),
    ),
    Row(
        property_gradients.fornberg_weights,
        nodes=[0.0, 1.0, 2.0],
        at=0.5,
        derivative=1,
        kinds={"nodes": "numbers", "at": "number"},
    ),
    Row(property_gradients.derivative_matrix, values=torch.arange(4.0), order=2, kinds={"values": "numbers"}),
    *(
        Row(
            way,
            responses=random(6),
            values=torch.arange(6.0),
            takes=("values: None", "responses: another size"),
            kinds={"values": "tensor", "responses": "tensor"},
        )
        for way in (
            property_gradients.property_gradients,
            property_gradients.expected_property_gradient_magnitude,
            property_gradients.correlation,
        )
    ),
    Row(
        property_gradients.mutual_information,
        responses=random(6),
        values=torch.arange(6.0),
        neighbours=2,
        takes=("values: None",),
        kinds={"values": "tensor", "responses": "tensor"},
    ),
    Row(
        property_gradients.permutation_test,
        responses=random(6),
        values=torch.arange(6.0),
        score="gradient",
        permutations=3,
        order=2,
        takes=("values: None",),
        kinds={"values": "tensor", "responses": "tensor"},
    ),
    *(
        Row(way, image=PHOTO, **{name: [1.0, 0.5]}, kinds={name: "numbers"})
        for way, name in (
            (interventions.brightness, "factors"),
            (interventions.contrast, "factors"),
            (interventions.saturation, "factors"),
            (interventions.blur, "deviations"),
            (interventions.noise, "deviations"),
            (interventions.rotation, "degrees"),
            (interventions.scale, "factors"),
        )
    ),
    Row(interventions.hue, image=PHOTO, turns=[0.0, 0.5], kinds={"turns": "numbers"}),
    Row(interventions.blend, image=PHOTO, other=PHOTO.flip(1), weights=[0.0, 1.0], kinds={"weights": "numbers"}),
    Row(
        interventions.patch,
        image=PHOTO,
        weights=[0.0, 1.0],
        colour=(0.1, 0.2, 0.3),
        corner=(0.1, 0.1),
        size=0.5,
        kinds={
            "weights": "numbers",
            "colour": {"None": None, "two": (0.1, 0.2), "255": (255, 0, 0), "a name": "red", "NaN": (NAN, 0, 0)},
            "corner": {"None": None, "one": (0.1,), "NaN": (NAN, 0.1), "a word": "top"},
            "size": "positive",
        },
    ),
    Row(
        interventions.recolour,
        image=PHOTO,
        mask=MASKS[0],
        colour=(0.1, 0.2, 0.3),
        weights=[0.0, 1.0],
        kinds={
            "weights": "numbers",
            "colour": {"None": None, "two": (0.1, 0.2), "255": (255, 0, 0), "a name": "red", "NaN": (NAN, 0, 0)},
            "mask": {"None": None, "another size": MASKS[0, :5], "empty": MASKS[0] & ~MASKS[0], "NaN": torch.full((8, 8), NAN)},
        },
    ),
    # convolution
    Row(convolution.output_size, size=8, kernel=3, stride=1, padding=0),
    Row(
        convolution.cross_correlate,
        image=PHOTO,
        kernels=random(2, 3, 3, 3),
        stride=1,
        padding=0,
        takes=("image: 0 to 255", "kernels: another size"),
        kinds={"kernels": "tensor"},
    ),
    Row(
        convolution.receptive_field,
        layers=[(3, 1, 1), (2, 2, 0)],
        kinds={"layers": {"None": None, "kernel of 0": [(0, 1, 0)], "two numbers": [(3, 1)], "broken": [(2.5, 1, 0)]}},
    ),
    Row(
        convolution.gradient_field,
        model=CNN,
        images=IMAGES,
        layer="second",
        position=(2, 2),
        kinds={"position": {"outside": (9, 9), "one number": 3, "broken": (0.5, 1), "negative": (-1, 0)}},
    ),
    Row(
        convolution.silence,
        model=CNN,
        images=IMAGES,
        layer="first",
        channels=[1],
        kinds={"channels": {"None": None, "one": 1, "too large": [4], "negative": [-1], "shares": [0.5], "names": ["red"]}},
    ),
    Row(convolution.silencing_effects, model=CNN, images=IMAGES, layer="first", batch=4),
    Row(convolution.relative_silencing, model=CNN, images=IMAGES, layer="first", batch=4),
    Row(convolution.with_classes, network=CNN, classes=3, example=IMAGES),
    Row(
        lambda **arguments: convolution.fit(seeded(Tiny).requires_grad_(), **arguments),
        name="convolution.fit",
        images=IMAGES,
        labels=LABELS,
        epochs=1,
        batch=2,
        learning_rate=0.01,
    ),
    Row(convolution.accuracy, network=CNN, images=IMAGES, labels=LABELS, batch=2),
    # corruptions
    Row(corruptions.greyscale, images=IMAGES),
    Row(corruptions.blur, images=IMAGES, sigma=1.0),
    Row(corruptions.silhouette, images=IMAGES, masks=MASKS, takes=("masks: empty",)),
    Row(corruptions.shuffle_patches, images=IMAGES, patch=4),
    Row(
        corruptions.embedding_noise,
        model=VIT,
        images=IMAGES,
        strength=1.0,
        layer="encoder.dropout",
        takes=("layer: it never runs", "layer: None"),  # of torchvision's networks it is known
    ),
    # dataset examples
    Row(
        lambda **arguments: dataset_examples.top_examples(progress=False, **arguments),
        name="dataset_examples.top_examples",
        model=CNN,
        batches=[IMAGES],
        layer="first",
        channels=[1],
        k=1,
        by="max",
        kinds={
            "batches": {
                "None": None,
                "none at all": [],
                "NaN": [IMAGES * NAN],
                "8 bits": [(IMAGES * 255).byte()],
                "one image": [IMAGES[0]],
            },
            "channels": {"one": 1, "too large": [4], "negative": [-1], "none at all": []},
        },
    ),
    Row(
        lambda **arguments: dataset_examples.top_examples(progress=False, **arguments),
        name="dataset_examples.top_examples along directions",
        model=CNN,
        batches=[IMAGES],
        layer="first",
        directions=random(2, 4),
        only=("directions",),
        kinds={
            "directions": {"another size": random(2, 5), "one": random(4), "NaN": random(2, 4) * NAN, "zero": torch.zeros(2, 4)}
        },
    ),
    # feature visualization
    *(
        Row(
            lambda layer, objective=name, more=more, **arguments: rendering(objective, layer, **{**more, **arguments}),
            name=f"objectives.{name}",
            layer="first",
            **more,
            kinds=kinds,
        )
        for name, more, kinds in (
            (
                "channel",
                {"channel": 1},
                {"channel": {"too large": 4, "negative": -1, "broken": 0.5, "a name": "red", "None": None}},
            ),
            (
                "neuron",
                {"channel": 1, "position": (1, 1)},
                {
                    "channel": {"too large": 4, "broken": 0.5},
                    "position": {"outside": (9, 9), "one number": 3, "broken": (0.5, 1)},
                },
            ),
            ("layer", {}, {}),
            (
                "position",
                {"position": (1, 1)},
                {"position": {"outside": (9, 9), "one number": 3, "broken": (0.5, 1), "None": None}},
            ),
            (
                "direction",
                {"vector": random(4), "cosine_power": 1.0},
                {
                    "vector": {
                        "another size": random(5),
                        "NaN": random(4) * NAN,
                        "zero": torch.zeros(4),
                        "None": None,
                        "a matrix": random(4, 4),
                    }
                },
            ),
            (
                "caricature",
                {"activation": HIDDEN[:1], "cosine_power": 1.0},
                {"activation": {"another size": HIDDEN[:1, :, :5], "NaN": HIDDEN[:1] * NAN, "None": None}},
            ),
            (
                "inversion",
                {"activation": HIDDEN[:1]},
                {"activation": {"another size": HIDDEN[:1, :, :5], "NaN": HIDDEN[:1] * NAN, "None": None}},
            ),
        )
    ),
    Row(
        lambda index: feature_visualization.render(
            CNN, objectives.logit(index), image=image_parameters.pixels(8), steps=1, progress=False
        ),
        name="objectives.logit",
        index=1,
        kinds={"index": {"too large": 5, "negative": -1, "a name": "dog", "broken": 0.7, "None": None}},
    ),
    Row(
        lambda **arguments: feature_visualization.render(image=image_parameters.pixels(8), progress=False, **arguments),
        name="feature_visualization.render",
        model=CNN,
        objective=objectives.channel("first", 1),
        steps=1,
        learning_rate=0.05,
        optimizer="sgd",
        variants=1,
        frames=1,
        warm_up=0,
        transformations=(),
        kinds={
            "objective": {"None": None, "a number": 3, "none at all": [], "a layer": "first"},
            "transformations": {"a word": "jitter", "numbers": [3]},
        },
    ),
    Row(
        feature_visualization.evaluate,
        model=CNN,
        objective=objectives.channel("first", 1),
        images=IMAGES,
        kinds={"objective": {"None": None, "a number": 3, "none at all": []}},
    ),
    Row(feature_visualization.normalized, gradient=IMAGES, kinds={"gradient": {"None": None, "NaN": IMAGES * NAN}}),
    Row(image_parameters.colour_matrix, pictures=IMAGES),
    *(
        Row(
            way,
            size=8,
            colours=torch.eye(3),
            deviation=0.1,
            takes=("colours: None",),
            kinds={"colours": {"another size": torch.eye(4), "NaN": torch.eye(3) * NAN, "a word": "warm"}},
        )
        for way in (image_parameters.pixels, image_parameters.fourier)
    ),
    Row(
        image_parameters.fourier,
        name="image_parameters.fourier decay",
        size=8,
        decay=1.0,
        only=("decay",),
        kinds={"decay": "number"},
    ),
    Row(
        image_parameters.prior,
        decoder=lambda latents: latents,
        latent=4,
        size=8,
        limit=3.0,
        takes=("size: None",),
        kinds={"decoder": {"None": None, "a number": 3}, "latent": "count", "limit": "positive"},
    ),
    Row(image_parameters.pad, pixels=2, kinds={"pixels": "natural"}),
    Row(image_parameters.jitter, pixels=2, kinds={"pixels": "natural"}),
    Row(image_parameters.scale, factors=[1.0, 1.1], kinds={"factors": {**VALUES["numbers"], "0": [0.0], "negative": [-1.0]}}),
    Row(image_parameters.rotate, degrees=[0.0, 5.0], kinds={"degrees": "numbers"}),
    # distributed alignment search
    Row(
        das.interchange,
        base=random(3, 4),
        source=random(3, 4),
        read=torch.eye(4)[:, :2],
        kinds={
            "base": {"None": None, "another size": random(3, 5)},
            "source": {"None": None, "another size": random(3, 5)},
            "read": {"None": None, "another size": torch.eye(5)[:, :2], "NaN": torch.eye(4)[:, :2] * NAN},
        },
    ),
    Row(
        das.Site,
        name="das.Site",
        model=CNN,
        base=IMAGES,
        source=OTHERS,
        layer="first",
        positions=[(1, 1)],
        batch=2,
        kinds={
            "positions": {
                "outside": [(9, 9)],
                "one number": [3],
                "another size": torch.ones(5, 5).bool(),
                "none at all": [],
                "broken": [(0.5, 1)],
            }
        },
    ),
    Row(das.align, model=CNN, base=IMAGES, source=OTHERS, labels=LABELS, layer="first", dim=2, steps=1),
    Row(
        lambda **arguments: das.align_at(SITE, progress=False, **arguments),
        name="das.align_at",
        labels=LABELS,
        dim=2,
        steps=1,
        batch=2,
        learning_rate=0.02,
        start=torch.eye(4)[:, :2],
        kind="rotation",
        takes=("start: None",),
        kinds={
            "start": {"another size": torch.eye(5)[:, :2], "NaN": torch.eye(4)[:, :2] * NAN, "a word": "random"},
            "kind": "choice",
        },
    ),
    Row(
        lambda **arguments: das.align_boundless(SITE, progress=False, **arguments),
        name="das.align_boundless",
        labels=LABELS,
        penalty=1.0,
        steps=1,
        batch=2,
        learning_rate=0.02,
        boundary_rate=0.02,
        temperatures=(0.1, 0.01),
        kinds={"boundary_rate": "positive", "temperatures": {"one": 0.1, "NaN": (NAN, 0.1), "0": (0.1, 0.0)}},
    ),
    Row(lambda **arguments: das.full_swap(SITE, **arguments), name="das.full_swap", labels=LABELS),
    Row(lambda **arguments: das.random_subspace(SITE, **arguments), name="das.random_subspace", labels=LABELS, dim=2, draws=2),
    Row(das.shuffled, labels=LABELS, kinds={"labels": {"None": None, "one": 3}}),
    Row(
        lambda site: das.off_target(ALIGNED, site),
        name="das.off_target",
        site=SITE,
        kinds={"site": {"None": None, "images": IMAGES}},
    ),
    Row(
        lambda **arguments: das.dimension_sweep(SITE, held_out=(SITE, LABELS), progress=False, **arguments),
        name="das.dimension_sweep",
        labels=LABELS,
        dims=[1, 2],
        steps=1,
        kinds={"dims": {"0": [0], "too many": [5], "none at all": [], "None": None}},
    ),
    Row(
        das.row_null_split,
        rotation=torch.eye(4)[:, :2],
        weight=random(5, 4),
        kinds={"rotation": {"None": None, "NaN": torch.eye(4)[:, :2] * NAN, "a vector": random(4)}, "weight": "tensor"},
    ),
    Row(
        lambda **arguments: das.controls(SITE, held_out=(SITE, LABELS), progress=False, **arguments),
        name="das.controls",
        labels=LABELS,
        dim=2,
        steps=1,
    ),
    Row(
        das.orthonormal, weight=random(4, 2), kinds={"weight": {"None": None, "a vector": random(4), "NaN": random(4, 2) * NAN}}
    ),
    Row(lambda size, dim: das.random_frame(size, dim, torch.Generator()), name="das.random_frame", size=4, dim=2),
    # concepts
    Row(concepts.pointwise_feature_vectors, model=CNN, images=IMAGES, layer="first"),
    Row(
        lambda **arguments: concepts.contributions(progress=False, **arguments),
        name="concepts.contributions",
        **LAYERED,
        steps=2,
    ),
    Row(
        lambda **arguments: concepts.sample_vectors(progress=False, **arguments),
        name="concepts.sample_vectors",
        **LAYERED,
        steps=2,
    ),
    Row(
        concepts.effective_receptive_field,
        model=CNN,
        images=IMAGES,
        layers=["first", "second"],
        positions=torch.tensor([[1, 1], [2, 2]]),
        kinds={
            "layers": {
                "none at all": [],
                "wrong order": ["second", "first"],
                "another name": ["thrid"],
                "it never runs": ["unused"],
            },
            "positions": {
                "outside": torch.tensor([[1, 1], [9, 9]]),
                "another number": torch.tensor([[1, 1]]),
                "shares": random(2, 2),
                "None": None,
            },
        },
    ),
    Row(
        concepts.gradient_receptive_field,
        model=CNN,
        images=IMAGES,
        layer="second",
        positions=torch.tensor([[1, 1], [2, 2]]),
        kinds={
            "positions": {
                "outside": torch.tensor([[1, 1], [9, 9]]),
                "another number": torch.tensor([[1, 1]]),
                "shares": random(2, 2),
                "None": None,
            }
        },
    ),
    Row(
        concepts.boxes,
        fields=MAPS,
        share=0.8,
        margin=2,
        takes=("fields: another size", "fields: another number"),
        kinds={"fields": "maps", "share": {**VALUES["positive"], "above 1": 1.5}},
    ),
    Row(
        concepts.extract_concepts,
        vectors=VECTORS,
        concepts=3,
        method="k-means",
        takes=("concepts: None",),
        kinds={"vectors": {"None": None, "NaN": VECTORS * NAN, "one": VECTORS[0], "none at all": VECTORS[:0]}},
    ),
    Row(
        concepts.decompose,
        activations=HIDDEN,
        concepts=CONCEPTS,
        penalty=0.05,
        iterations=5,
        kinds={
            "activations": {"None": None, "NaN": HIDDEN * NAN, "other channels": random(2, 5, 8, 8), "none at all": HIDDEN[:0]},
            "concepts": {"None": None, "vectors": VECTORS},
        },
    ),
    Row(
        concepts.check_order,
        model=CNN,
        images=IMAGES,
        layers=["first", "second"],
        kinds={"layers": {"wrong order": ["second", "first"], "another name": ["thrid"], "it never runs": ["unused"]}},
    ),
    Row(
        concept_evaluation.insertion_deletion,
        **PIXELS,
        source=CONCEPTS,
        order="coefficient",
        measure="probability",
        fractions=2,
        steps=2,
        kinds={
            "source": {"None": None, "a layer": "first"},
            "order": {"another word": "nonsense", "another size": random(2, 4), "NaN": random(2, 3) * NAN},
        },
    ),
    Row(
        concept_evaluation.interlayer_insertion_deletion,
        **PIXELS,
        source=CONCEPTS,
        effect=LATER,
        orders=("coefficient",),
        top=1,
        fractions=2,
        steps=2,
        takes=OPTIONAL,
        kinds={"source": {"None": None, "a layer": "first"}, "effect": {"None": None, "the same layer": CONCEPTS}},
    ),
    Row(
        lambda **arguments: concept_graph.generalized_integrated_gradients(progress=False, **arguments),
        name="concept_graph.generalized_integrated_gradients",
        model=CNN,
        images=IMAGES,
        target=[[0], [1]],
        source=CONCEPTS,
        steps=2,
        takes=("target: another number",),
        kinds={"source": {"None": None, "a layer": "first"}},
    ),
    Row(
        concept_graph.importance,
        model=CNN,
        images=IMAGES,
        target=[0, 1],
        source=CONCEPTS,
        steps=2,
        kinds={"source": {"None": None}},
    ),
    Row(
        concept_graph.shared_concepts,
        first=random(2, 3),
        second=random(2, 3, seed=1),
        top=2,
        kinds={"first": {"None": None, "NaN": random(2, 3) * NAN, "another size": random(2, 4)}},
    ),
    Row(
        concept_graph.build_graph,
        model=CNN,
        images=IMAGES,
        target=[0, 1],
        concepts=[CONCEPTS, LATER],
        top=2,
        shared=1,
        steps=2,
        takes=("shared: 0",),
        kinds={"concepts": {"none at all": [], "wrong order": [LATER, CONCEPTS], "None": None, "vectors": [VECTORS]}},
    ),
    # activation patching
    Row(
        attention.patch_parts,
        model=VIT,
        **PAIR,
        parts=["value"],
        layers=[0],
        kinds={
            "model": {**VALUES["model"], "no transformer": CNN},
            "parts": {"another word": ["values"], "None": None},
            "layers": {"too large": [2], "negative": [-1], "broken": [0.5], "None": None},
        },
    ),
    Row(
        activation_patching.measure,
        logits=ANSWERS,
        target=LABELS,
        metric="probability",
        takes=("target: one for all",),
        kinds={
            "logits": {"None": None, "NaN": ANSWERS * NAN, "one answer": ANSWERS[0], "probabilities": ANSWERS.softmax(1)},
            "target": "labels",
        },
    ),
    Row(
        activation_patching.sites,
        name="activation_patching.sites",
        model=VIT,
        component="attn_out",
        kinds={"model": {**VALUES["model"], "no transformer": CNN}},
    ),
    Row(
        activation_patching.window_layers,
        layer=1,
        window=2,
        layers=3,
        kinds={"layer": {}, "window": {**VALUES["count"], "too wide": 4}},
    ),
    Row(
        patching,
        name="activation_patching.Runs.patch",
        cells=[("attn_out", 0)],
        tokens="all",
        direction="denoising",
        kinds={
            "cells": {"another component": [("nonsense", 0)], "too deep": [("attn_out", 2)], "negative": [("attn_out", -1)]},
            "tokens": {"another word": "nonsense", "too large": [99], "another size": torch.ones(3).bool(), "negative": [-1]},
        },
    ),
    *(
        Row(
            lambda way=way, **arguments: way(**arguments),
            name=f"activation_patching.{way.__name__}",
            model=VIT,
            **PAIR,
            target=LABELS,
            component="attn_out",
            window=1,
            metric="probability",
            tokens="all",
            against=torch.tensor([1, 2]),
            batch=2,
            takes=("against: None", "against: one for all", "target: one for all"),
            kinds={
                "target": "labels",
                "against": "labels",
                "model": {**VALUES["model"], "no transformer": CNN},
                "tokens": {"another word": "nonsense", "too large": [99], "another size": torch.ones(3).bool()},
                "window": {**VALUES["count"], "too wide": 4},
            },
        )
        for way in (activation_patching.sweep, activation_patching.attribute)
    ),
    Row(
        lambda **arguments: activation_patching.sweep(CNN, **arguments),
        name="activation_patching.sweep of layers",
        **PAIR,
        target=LABELS,
        component=["first", "second"],
        window=1,
        direction="denoising",
        only=("component", "direction"),
        kinds={"component": {"another name": ["thrid"], "none at all": [], "it never runs": ["unused"]}},
    ),
    Row(
        activation_patching.path_patch,
        model=VIT,
        **PAIR,
        target=LABELS,
        sender=("attn_out", 0),
        receiver="logits",
        direction="denoising",
        metric="probability",
        batch=2,
        takes=("target: one for all",),
        kinds={
            "target": "labels",
            "sender": {"another": ("resid", 0), "too deep": ("attn_out", 2), "None": None},
            "receiver": {"another word": "logit", "before it": ("attn_out", 0), "None": None},
        },
    ),
]
