"""7.8, in the widget: a property that matters here and not on average."""

from collections.abc import Mapping

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.worlds import scenes


def _judge(value):
    if not isinstance(value, Mapping) or "factor" not in value or not isinstance(value.get("span"), Mapping):
        return 'Pass the widget itself: answer("7.8", dial).'
    spans = {name.removeprefix("pets-"): float(span) for name, span in value["span"].items()}
    if not {"dark-cats", "dark-dogs"} <= set(spans):
        return "This dial has other networks: use the one of section 2, `dial = PropertyDial()`."
    if value["factor"] != "colour":
        return Problem(f"The dial is on *{value['factor']}*; choose *colour*.", mistake="other-property")
    animal = scenes.sample(16, 70, object=("cat", "dog"))[int(value["scene"])].object  # those of the dial
    measured = (
        f"Measured on scene {value['scene']}, a {animal}: dark-cats {spans['dark-cats']:.3f}, "
        f"dark-dogs {spans['dark-dogs']:.3f}."
    )
    if animal == "dog":
        return Problem(measured, mistake="dog")
    if spans["dark-dogs"] > 0.5:
        return None
    return Problem(measured, mistake="other-network" if spans["dark-cats"] > 0.5 else "neither")


def _read(scene, factor, cats, dogs):
    """What the dial says with these spans of the two biased networks."""
    return {"scene": scene, "factor": factor, "span": {"unbiased": 0.001, "dark-cats": cats, "dark-dogs": dogs}}


LOCAL = AnswerExercise(
    id="7.8",
    title="On average, but not here",
    stars=2,
    minutes=6,
    judge=_judge,
    blank=lambda value: isinstance(value, Mapping) and (value.get("scene"), value.get("factor")) == (3, "size"),
    setup_source="from vizcourse.lessons.gradual_interventions.widgets import PropertyDial\ndial = PropertyDial()",
    solution_source='dial.set(scene=10, factor="colour")\nanswer("7.8", dial)',
    hints=(
        "Set the property to *colour* and step through the scenes. Read the span of dark-dogs beside the curves.",
        "Six of the twelve scenes show a cat. On most of them the curve of dark-dogs is flat; look on to the last of them.",
    ),
    mistakes=(
        Mistake("other-property", "The property is not the fur.", _read(10, "brightness", 0.9, 0.6)),
        Mistake(
            "dog",
            "This is a dog. On dogs fur decides for dark-dogs, as a rule: the exception is a cat.",
            _read(4, "colour", 0.004, 1.0),
        ),
        Mistake(
            "other-network",
            "A cat, and its fur decides for dark-cats. But the span of dark-dogs must be above 0.5.",
            _read(0, "colour", 0.97, 0.001),
        ),
        Mistake(
            "neither",
            "A cat, but neither biased network moves far enough: the span of dark-dogs must be above 0.5. Try another one.",
            _read(5, "colour", 0.03, 0.38),
        ),
    ),
    unlisted=(3, {"scene": 2}),
    insight="What a property does on average need not be what it does here. That is what a *local* explanation is for.",
    used_next="Figure 5 makes averages over cats and over dogs.",
)
