"""Exercises of lesson 06, concepts and the graph between them.

Written down before the mistakes were coded, what learners of concept methods really do: exchange row and column, or let an
index meet every picture with every position; measure a share by lengths, so that what points elsewhere counts as well; split
the cluster with the most vectors, split all of them, stop after one round, or let an empty half become NaN; name a concept by
the object that stands near it; forget that the threshold is scaled by the step, or the sign; take the gradient at the end of
the way, leave out the coefficient, let alpha in twice, or attribute to channels instead of concepts; ask for the score of the
picture where the method explains the reconstruction, and forget the score of nothing; call shared what only one class uses;
delete instead of insert, put each concept in alone, read an order as ranks.
"""

from vizcourse.lessons.concept_graph.exercises.bisection import BISECTION, bisect
from vizcourse.lessons.concept_graph.exercises.completeness import COMPLETENESS, completeness_error
from vizcourse.lessons.concept_graph.exercises.convincing import CONVINCING
from vizcourse.lessons.concept_graph.exercises.feature_vectors import VECTORS, vectors_at
from vizcourse.lessons.concept_graph.exercises.insertion import INSERTION, insertion_area
from vizcourse.lessons.concept_graph.exercises.integrated_gradients import CONTRIBUTIONS, concept_contributions
from vizcourse.lessons.concept_graph.exercises.lasso import LASSO, lasso_step
from vizcourse.lessons.concept_graph.exercises.only_background import ONLY_BACKGROUND
from vizcourse.lessons.concept_graph.exercises.shared_concept import SHARED
from vizcourse.lessons.concept_graph.exercises.sharing_ratio import RECEPTIVE_FIELD, receptive_field
from vizcourse.lessons.concept_graph.exercises.surviving_claims import REFEREE

__all__ = [
    "EXERCISES", "bisect", "completeness_error", "concept_contributions", "insertion_area", "lasso_step",
    "receptive_field", "vectors_at",
]  # fmt: skip

EXERCISES = (
    VECTORS, BISECTION, ONLY_BACKGROUND, LASSO, CONTRIBUTIONS, COMPLETENESS, SHARED, CONVINCING, REFEREE,
    RECEPTIVE_FIELD, INSERTION,
)  # fmt: skip
