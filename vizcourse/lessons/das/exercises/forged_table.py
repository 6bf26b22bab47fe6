"""5.10 Forge a Table 5."""

from types import SimpleNamespace

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.lessons.das.study import Line
from vizcourse.methods.intervals import Interval

#: What the article reports for its weakest but one cue.
WANTED = 0.76
#: The network of the forged lines.
FORGED_IN = "shapes-cue-colour"


def _network(value):
    """The name of the network that a line is about."""
    return getattr(getattr(getattr(value, "case", None), "model", None), "name", FORGED_IN)


def _forged_judge(value):
    if not hasattr(value, "iia") or not hasattr(value, "cue"):
        return 'Hand in what `study.line(…)` gave: `answer("5.10", mine)`.'
    measured = f"Its IIA is {value.iia:.0%}."
    if _network(value) != FORGED_IN:
        return Problem(f"Yours is {_network(value)}.", mistake="other-network")
    if value.cue == "colour":
        return Problem(mistake="used")
    if value.iia.estimate >= WANTED - 1e-9:
        return None
    if value.layer == "avgpool" and value.sources == "one cue":
        return Problem(measured, mistake="last-layer")
    return Problem(measured, mistake="not-enough" if value.iia.estimate else "nothing")


def _line(cue, layer, sources, share, network=FORGED_IN):
    case = SimpleNamespace(model=SimpleNamespace(name=network))
    return Line(cue, layer, 8, sources, Interval(share, share, share), case=case)


FORGE = AnswerExercise(
    id="5.10",
    title="Forge a Table 5",
    stars=2,
    minutes=10,
    judge=_forged_judge,
    setup_source="from vizcourse.lessons.das import study",
    solution_source='mine = study.line("background", layer="avgpool", dim=8, sources="ordinary")\nanswer("5.10", mine)',
    hints=(
        "Three things are yours to choose. Which of them decides whether the network itself would answer the label to the "
        "source?",
        'The careless sources of section 8: `sources="ordinary"`. (With `"one cue"` an early layer goes part of the way.)',
    ),
    mistakes=(
        Mistake(
            "other-network",
            "Your line is about another network. Forge one for “shapes-cue-colour”, which goes by the colours alone.",
            _line("background", "avgpool", "one cue", 1.0, network="shapes-cue-background"),
        ),
        Mistake(
            "used",
            "That is no forgery: this network does use the colours. Take a cue that it does not use.",
            _line("colour", "avgpool", "one cue", 1.0),
        ),
        Mistake(
            "last-layer",
            "At the input of the classifier, with one cue changed, no subspace reaches the label of an unused cue (section 8): "
            "the dimension makes no difference. Change the layer or the sources.",
            _line("background", "avgpool", "one cue", 0.0),
        ),
        Mistake(
            "not-enough",
            "That is more than nothing for a cue that is not used, and not yet 76 %. Try on.",
            _line("background", "layer1", "one cue", 0.5),
        ),
        Mistake(
            "nothing",
            "No pair gives the label. Go to an earlier layer, or change the sources.",
            _line("type", "layer3", "one cue", 0.0),
        ),
    ),
    unlisted=(0.76, "background"),
    insight="Held-out pairs, a rotation, and the IIA that was wanted: layer, width and sources are part of a result.",
    used_next="What would have exposed your line?",
)
