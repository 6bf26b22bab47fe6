"""6.9: the referee's table."""

from collections.abc import Mapping

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.lessons.concept_graph import stored

#: The claims of the notebook's table by letter: rows of the study, one for each place where the claim is made.
CLAIMS = dict(zip("ABCDEFG", ("early", "late", "bisecting", "stable", "shared", "order", "few causes"), strict=True))


def _claim_rows(letter):
    return stored.results()["referee"][CLAIMS[letter]]


def _holding(holds, every=all):
    """The letters of the claims of which all rows (or any) hold."""
    return frozenset(letter for letter in CLAIMS if every(holds(row) for row in _claim_rows(letter).values()))


def surviving():
    """The claims whose lead over the right null lies above zero, with its whole interval, wherever they are made."""
    return "".join(sorted(_holding(lambda row: row["ahead"][1] > 0)))


#: Wrong ways to read the table, and what each lets survive.
_READINGS = {
    "weak-null": _holding(lambda row: row["measured"] > row["weak null"]),
    "without-intervals": _holding(lambda row: row["ahead"][0] > 0),
    "one-place": _holding(lambda row: row["ahead"][1] > 0, every=any),
    "those-that-fall": frozenset(CLAIMS) - frozenset(surviving()),
}
#: Those of them that give letters which neither the right reading nor another wrong one gives.
_TOLD_APART = {
    name: letters for name, letters in _READINGS.items()
    if [*_READINGS.values(), frozenset(surviving())].count(letters) == 1
}  # fmt: skip


def _letters(value):
    """The letters of an answer as people write them: "BD", "b, d and f", ["B", "D"], {"A": False, …}; None for no answer."""
    if isinstance(value, Mapping):
        if not all(isinstance(kept, (bool, int)) for kept in value.values()):
            return None
        value = [letter for letter, kept in value.items() if kept]
    if isinstance(value, (list, tuple, set, frozenset)):
        if not all(isinstance(each, str) for each in value):
            return None
        value = " ".join(value)
    if not isinstance(value, str):
        return None
    words = value.casefold().replace("only", " ").replace("claims", " ").replace("claim", " ").split()
    said = "".join(word for word in "".join(c if c.isalnum() else " " for c in " ".join(words)).split() if word != "and")
    if said in ("none", "nothing", "all"):
        return frozenset(CLAIMS if said == "all" else ())
    said = said.upper()
    return frozenset(said) if set(said) <= set(CLAIMS) else None


def _worst_row(letter):
    """Of a claim, the place where its lead's interval begins lowest, in words."""
    rows = _claim_rows(letter)
    place = min(rows, key=lambda at: rows[at]["ahead"][1])
    lead, low, high = rows[place]["ahead"]
    return f"{letter}: at {place} the lead is {lead:+.3f}, its interval {low:+.3f} to {high:+.3f}."


def _referee_judge(value):
    given, right = _letters(value), frozenset(surviving())
    if given is None:
        return f'Answer with the letters of the claims that survive, of {", ".join(CLAIMS)}: "AC", or "none".'
    if given == right:
        return None
    if not given:
        return f"Not all of them fall. {_worst_row(min(right))}"
    if given in _TOLD_APART.values():
        return Problem(mistake=next(name for name, letters in _TOLD_APART.items() if letters == given))
    if extra := sorted(given - right):
        return Problem(_worst_row(extra[0]), mistake="too-many" if given > right else "mixed")
    return Problem(_worst_row(min(right - given)), mistake="too-few")


def _gains():
    """GIG's lead over the gradient at the end of the path, as a share of GIG's own figure."""
    return [row["ahead"][0] / row["measured"] for row in _claim_rows("F").values()]


def _referee_example(name):
    """An answer that makes this mistake and no other."""
    right = surviving()
    if name in _TOLD_APART:
        return "".join(sorted(_TOLD_APART[name]))
    fallen = [letter for letter in CLAIMS if letter not in right]
    tries = {
        "too-many": [right + extra for extra in fallen],
        "too-few": [right.replace(letter, "") for letter in right],
        "mixed": [right[1:] + extra for extra in fallen],
    }[name]
    return next(each for each in tries if frozenset(each) not in _READINGS.values())


REFEREE = AnswerExercise(
    id="6.9",
    title="Which claims survive?",
    stars=2,
    minutes=8,
    reference=surviving,
    judge=_referee_judge,
    hints=(
        "Leave the columns “measured” and “weak” alone. Only the interval in square brackets counts.",
        "Go through the claims, and look in each for *one* row whose interval begins below zero. That row is enough to let the "
        "claim fall.",
    ),
    mistakes=tuple(
        Mistake(name, message, _referee_example(name))
        for name, message in (
            (
                "weak-null",
                "These are the claims that beat their *weak* null in each row. That is what a demonstration shows; it does not "
                "tell a claim from what would be so without it. Compare with the right null.",
            ),
            (
                "without-intervals",
                "These are the claims with a lead above zero in each row, but some of those intervals reach below zero: with "
                "other pictures or concepts the lead might be gone.",
            ),
            (
                "one-place",
                "These are the claims that hold in *some* row. Each was made of all its rows. Who may choose the row "
                "afterwards finds one that fits.",
            ),
            ("those-that-fall", "These are the ones that fall: asked for are those that survive."),
            ("too-many", "All that survive are among these, and more."),
            ("too-few", "Each of these survives, but not all that survive are here."),
            ("mixed", "Not all of these survive, and not all that survive are here."),
        )
        if name not in _READINGS or name in _TOLD_APART
    ),
    unlisted=("H", 3, "early", ["A", 1]),
    insight="A right null has everything but the thing claimed. What lead is left is what the claim is worth: GIG's over one "
    f"gradient is {min(_gains()):.0%} to {max(_gains()):.0%} of its figure.",
    used_next="Make such a table for the next article that you read, before you look at its figures.",
)
