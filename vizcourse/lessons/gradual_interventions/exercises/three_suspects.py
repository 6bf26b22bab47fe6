"""7.7: which of three networks are biased, and which way."""

from collections.abc import Mapping

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.models import load

_TRUTH = {"A": "pets-dark-dogs", "B": "pets-unbiased", "C": "pets-dark-cats"}
_GUILT = {"A": "dark is dog", "B": "none", "C": "dark is cat"}
_TURNED = {"dark is cat": "dark is dog", "dark is dog": "dark is cat", "none": "none"}


def suspects():
    """Three networks that tell cats (0) from dogs (1), as ``{"A": network, "B": network, "C": network}``."""
    return {name: load(network) for name, network in _TRUTH.items()}


def _claims(value):
    if isinstance(value, list | tuple) and len(value) == len(_GUILT):
        value = dict(zip(_GUILT, value, strict=True))
    if not isinstance(value, Mapping):
        return None
    said = {str(name).strip().upper(): _word(claim) for name, claim in value.items()}
    return said if set(said) == set(_GUILT) else None


def _word(claim):
    """A claim as it was meant: without capitals, stray spaces, hyphens or underscores."""
    return " ".join(str(claim).lower().replace("-", " ").replace("_", " ").split())


def _judge(value):
    claims = _claims(value)
    if claims is None or not set(claims.values()) <= set(_TURNED):
        return 'Answer {"A": …, "B": …, "C": …}, each "none", "dark is cat" or "dark is dog".'
    if claims == _GUILT:
        return None
    if claims == {name: _TURNED[claim] for name, claim in _GUILT.items()}:
        return Problem(mistake="turned")
    if set(claims.values()) == {"none"}:
        return Problem(mistake="nobody")
    if claims["B"] != "none":
        return Problem(mistake="innocent-accused")
    if "none" in (claims["A"], claims["C"]):
        return Problem(mistake="guilty-let-go")
    right = sum(claims[name] == truth for name, truth in _GUILT.items())
    counted = {1: "One of the three is right", 2: "Two of the three are right"}[right]
    return f"{counted}. Look at the direction of each curve, for cats and for dogs."


SUSPECTS = AnswerExercise(
    id="7.7",
    title="Three suspects",
    stars=2,
    minutes=8,
    judge=_judge,
    blank=lambda value: isinstance(value, Mapping) and any(each is ... for each in value.values()),
    solution_source='answer("7.7", {"A": "dark is dog", "B": "none", "C": "dark is cat"})',
    hints=(
        "Turn the fur of several cats *and* several dogs from black to white, follow the probability of a dog, and look at "
        "`span` and `change`, not only at `p_value`.",
        "`change` is white minus black. A network that takes dark fur for a dog loses \"dog\" when the fur gets white: its "
        "change is negative.",
        "The innocent one is significant as well. How far does its probability move?",
    ),
    mistakes=(
        Mistake(
            "turned",
            "The right two networks, with their biases the wrong way round. The curves run from black to white: where the "
            "probability of a dog *falls*, black fur was what spoke for the dog.",
            {"A": "dark is cat", "B": "none", "C": "dark is dog"},
        ),
        Mistake(
            "innocent-accused",
            "B is innocent. Turn the fur of the lesson's 16 scenes: its p is small on many of them, but its probability moves "
            "by less than a hundredth on most. Significance is not size.",
            {"A": "dark is dog", "B": "dark is dog", "C": "dark is cat"},
        ),
        Mistake(
            "guilty-let-go",
            "You let a biased network go. It may be that fur does not matter on the picture you looked at, and decides on "
            "others: measure cats *and* dogs.",
            {"A": "dark is dog", "B": "none", "C": "none"},
        ),
        Mistake(
            "nobody",
            "Two of them are biased. All three are right on the pictures they were trained on; only an intervention shows why.",
            {"A": "none", "B": "none", "C": "none"},
        ),
    ),
    unlisted=(
        {"A": "dark is cat", "B": "none", "C": "dark is cat"},
        {"A": "dark is dog", "B": "none", "C": "dark is dog"},
        {"A": "dark is dog"},
    ),
    insight="All three are perfect on the pictures they were trained on. The bias shows only when somebody turns the property.",
    used_next="7.8 asks whether the bias is at work on every picture.",
)
