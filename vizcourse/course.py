"""The lessons that exist, in order: the one table that set-up, badges, README, engines and builder read."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOMS = Path(__file__).with_name("lessons")


@dataclass(frozen=True)
class Lesson:
    """One lesson of the course.

    Where things are follows from ``number`` and ``slug`` alone: the lesson's room is ``vizcourse/lessons/{slug}/``,
    with its text in ``lesson.md``; what is built from it is ``notebooks/{number}_{slug}.ipynb``.
    """

    number: str
    slug: str
    title: str
    promise: str
    minutes: int
    stars: int
    builds_on: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """File name without its ending, for example ``01_cnn_basics``."""
        return f"{self.number}_{self.slug}"

    @property
    def room(self) -> Path:
        """The folder with all that is the lesson's own."""
        return ROOMS / self.slug

    @property
    def source(self) -> Path:
        """The lesson's text, which authors edit."""
        return self.room / "lesson.md"

    def part(self, name: str) -> ModuleType | None:
        """The module ``exercises``, ``widgets`` or ``study`` of the lesson; None where it has none (yet)."""
        if not (self.room / f"{name}.py").is_file() and not (self.room / name / "__init__.py").is_file():
            return None
        return importlib.import_module(f"vizcourse.lessons.{self.slug}.{name}")


LESSONS: tuple[Lesson, ...] = (
    Lesson(
        number="01",
        slug="cnn_basics",
        title="CNN basics",
        promise="Build a convolution by hand, read any activation in a network, and switch a channel off to see "
        "what it was for.",
        minutes=95,
        stars=1,
    ),
    Lesson(
        number="02",
        slug="feature_visualization",
        title="Feature visualization",
        promise="Make a picture that shows what any unit answers to, explain each trick that makes it legible, and say when "
        "not to believe it.",
        minutes=100,
        stars=2,
        builds_on=("01",),
    ),
    Lesson(
        number="03",
        slug="attribution",
        title="Grad-CAM, attribution, and whether to believe it",
        promise="Compute and read Grad-CAM, choose an attribution method for a purpose, and put any saliency map through tests "
        "that famous ones fail.",
        minutes=100,
        stars=2,
        builds_on=("01",),
    ),
    Lesson(
        number="04",
        slug="activation_patching",
        title="Activation patching",
        promise="Find out where a transformer processes a property of the picture, with the right direction, component, "
        "metric and control, and say what a patching plot does not show.",
        minutes=95,
        stars=2,
        builds_on=("01",),
    ),
    Lesson(
        number="05",
        slug="das",
        title="Distributed alignment search on ResNet-18",
        promise="State a causal claim about a network, find the subspace that realises it, measure it by interchange "
        "interventions, and tell a finding from an artefact.",
        minutes=95,
        stars=3,
        builds_on=("01",),
    ),
    Lesson(
        number="06",
        slug="concept_graph",
        title="Concept graphs with generalized integrated gradients",
        promise="Split a layer into concepts, measure how the concepts of one layer cause those of the next, draw the graph "
        "from early layers to the class, and put it to the test.",
        minutes=100,
        stars=3,
        builds_on=("01", "03"),
    ),
    Lesson(
        number="07",
        slug="gradual_interventions",
        title="Gradual interventions",
        promise="Ask of one picture whether a property changes the prediction, by how much, and whether it is more than "
        "chance, and find a bias that a saliency map does not name.",
        minutes=100,
        stars=2,
        builds_on=("01", "03"),
    ),
)


def lesson(name: str) -> Lesson:
    """Return the lesson with this number (``"01"`` or ``"1"``) or slug.

    Raises:
        ValueError: there is no such lesson; the message lists those there are.
    """
    wanted = str(name).strip().lower()
    for entry in LESSONS:
        if wanted in (entry.number, entry.number.lstrip("0"), entry.slug, entry.stem):
            return entry
    names = [entry.number for entry in LESSONS] + [entry.slug for entry in LESSONS]
    close = difflib.get_close_matches(wanted, names, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    known = ", ".join(f"{entry.number} ({entry.title})" for entry in LESSONS)
    raise ValueError(f"There is no lesson {name!r}.{guess} The lessons are: {known}.")
