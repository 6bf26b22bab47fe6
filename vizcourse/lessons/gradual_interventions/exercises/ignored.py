"""7.9 and 7.10: what shows that a property is ignored, and which one is."""

import torch

from vizcourse.exercises.core import AnswerExercise, ChoiceExercise, Mistake
from vizcourse.models import load
from vizcourse.worlds import gradual, scenes

IGNORED = ChoiceExercise(
    id="7.9",
    title="Ignored, or not found?",
    stars=2,
    minutes=4,
    hints=(
        "A large p-value can have two reasons: there is no effect, or there were too few steps to find it.",
        "Which of the reports could not have come out like this if the network used the property?",
    ),
    question="A network is said to *ignore* a property. Which report supports it best?",
    options={
        "a": "one picture, 5 steps: p = 0.43, span 0.35",
        "b": "one picture, 100 steps: p = 0.001, span 0.0003",
        "c": "200 pictures, 100 steps: p < 0.05 on 180 of them, but the largest span of all is 0.004",
        "d": "200 pictures, 100 steps: the mean of last minus first probability is 0.000",
    },
    correct="c",
    mistakes=(
        Mistake(
            "not-found",
            "p = 0.43 means that five steps could not tell, and the probability did move by 0.35. Absence of evidence is not "
            "evidence of absence.",
            "a",
        ),
        Mistake(
            "one-picture",
            "The small span is the right thing to look at, but this is one picture: on the next the property may decide.",
            "b",
        ),
        Mistake(
            "cancelled",
            "A mean of signed changes can be 0 because half of the pictures rise and half fall, or because each curve comes "
            "back to where it began.",
            "d",
        ),
    ),
    insight="To show that something is ignored, show that its effect is small, on many pictures. p-values cannot do it.",
    used_next="Ask it of every claim that a network does not use something.",
)


def ignored_property(choices=("brightness", "rotation", "scene", "size", "texture"), count=16, steps=12):
    """The one property that moves the answer of ``pets-unbiased`` by less than 0.01 on every scene."""
    network = load("pets-unbiased")
    animals = scenes.sample(count, 70, object=("cat", "dog"))
    spans = {}
    for factor in choices:
        pictures = torch.cat([gradual.turn(scene, factor, steps=steps).pictures for scene in animals])
        with torch.no_grad():
            probability = network(pictures).softmax(dim=1)[:, 1].reshape(count, steps)
        spans[factor] = float((probability.amax(1) - probability.amin(1)).max())
    (ignored,) = (factor for factor, span in spans.items() if span < 0.01)
    return ignored


PROPERTY = AnswerExercise(
    id="7.10",
    title="The property that the network ignores",
    stars=2,
    minutes=5,
    reference=ignored_property,
    solution_source='answer("7.10", "texture")',
    hints=(
        "One scene cannot show it. Stack the pictures of all 16 scenes, "
        "`torch.stack([gradual.turn(scene, factor, steps=12).pictures for scene in animals])`, and `property_effect` measures "
        "them together.",
        "Look at `effect.span.max()`, the largest span of all scenes. Neither the mean span nor p answers the question.",
    ),
    mistakes=(
        Mistake(
            "size",
            "On most scenes the size moves next to nothing, but on one the span is above 0.2. Look at the largest span, not at "
            "a typical one.",
            "size",
        ),
        Mistake(
            "scene",
            "On three scenes of four the scenery moves next to nothing; on one the span is near 0.5. Look at the largest span, "
            "not at a typical one.",
            "scene",
        ),
        Mistake(
            "brightness",
            "You will remember p7.2: turned down as far as 0.3, the light upset this network more than the biased two.",
            "brightness",
        ),
        Mistake("rotation", "Figure 2 shows the same network calling a tilted dog a cat.", "rotation"),
    ),
    unlisted=("colour", "none"),
    insight="On more than half of the scenes p is below 0.05 here as well: p cannot show that something is ignored; the "
    "largest span can, for this range and these scenes.",
    used_next="The next section takes the question to another task.",
)
