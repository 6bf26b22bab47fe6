"""6.3: only background, found in the widget."""

from collections import Counter
from collections.abc import Mapping

from vizcourse.exercises.core import AnswerExercise, Mistake, Problem
from vizcourse.lessons.concept_graph import stored
from vizcourse.worlds import scenes
from vizcourse.worlds.scenes.vocabulary import SCENERY_PARTS

#: From which share of its nearest vectors that have seen scenery most of all a concept counts as background, and up to which
#: share of them may be from pictures of one kind of object.
BACKGROUND, ONE_KIND = 0.75, 0.5


def commonest_object(layer, concept):
    """The object that most pictures of a stored concept's nearest vectors show, and their share: a drawing, of any colour."""
    shown = Counter(scenes.FORM[scenes.CLASSES[number]] for number in stored.classes(stored.nearest()[layer][concept]).tolist())
    ((form, count),) = shown.most_common(1)
    return form, count / shown.total()


#: What people say instead of the world's word for a part of its scenery.
_OTHER_WORDS = {
    **dict.fromkeys(("skies", "heaven"), "sky"),
    **dict.fromkeys(("water", "ocean", "lake", "river", "waves", "wave"), "sea"),
    **dict.fromkeys(("street", "asphalt", "tarmac", "pavement"), "road"),
    **dict.fromkeys(("beach", "desert"), "sand"),
    **dict.fromkeys(("lawn", "meadow", "field"), "grass"),
    **dict.fromkeys(("wall", "interior", "wallpaper"), "interior wall"),
    **dict.fromkeys(("carpet",), "rug"),
    **dict.fromkeys(("ground", "wooden floor", "floorboards"), "floor"),
    **dict.fromkeys(("curb",), "kerb"),
    **dict.fromkeys(("house", "houses", "skyscraper", "skyscrapers", "high-rise"), "building"),
    **dict.fromkeys(("fir", "fir tree", "pine", "pine tree"), "conifer"),
}


def _plain_word(name):
    """A name as the world writes its words: small letters, no article, no full stop, one cloud for many."""
    words = str(name).casefold().replace("_", " ").strip(" .,!?\"'“”").split()
    while len(words) > 1 and words[0] in ("the", "a", "an", "some", "only", "just", "mostly", "background"):
        words = words[1:]
    said = " ".join(words)
    if said in SCENERY_PARTS or not {"no", "not", "without"}.isdisjoint(words):
        return said
    if said.endswith("s") and said[:-1] in SCENERY_PARTS:
        return said[:-1]
    # "blue sky": one of the world's words among others, where none of its words for objects stands beside it.
    inside = [part for part in scenes.PARTS if f" {part} " in f" {said} "]
    inside = [part for part in inside if not any(part != other and part in other for other in inside)]
    return inside[0] if len(inside) == 1 and inside[0] in SCENERY_PARTS and said not in scenes.SCENES else said


def _background_judge(value):
    if not isinstance(value, Mapping) or not {"layer", "concept", "name", "parts"} <= set(value):
        return 'Pass the widget itself: `answer("6.3", browser)`.'
    said = _plain_word(value["name"])
    if not said:
        return "You have not named this concept yet: type a name in the browser, press Enter, and run the cell again."
    scenery = {part: float(share) for part, share in value["parts"].items() if part in SCENERY_PARTS}
    outside = sum(scenery.values())
    where = f"Concept {value['concept']} of {value['layer']}: {outside:.0%} scenery."
    if outside < BACKGROUND - 1e-6:
        return Problem(where, mistake="objects" if outside < 0.5 else "mixed")
    form, share = commonest_object(value["layer"], value["concept"])
    if share > ONE_KIND:
        return Problem(f"Here: {form}, in {share:.0%} of the pictures.", mistake="one-object")
    meant = _OTHER_WORDS.get(said, said)
    if meant in SCENERY_PARTS:
        if scenery.get(meant, 0.0) < max(scenery.values()) - 1e-6:
            word = f"“{said}”" if said == meant else f"“{said}” (the world calls it “{meant}”)"
            return Problem(f"For {word} it is {scenery.get(meant, 0.0):.0%}.", mistake="other-part")
        if said == meant:
            return None
        return Problem(f"What you call “{said}”, the world calls “{meant}”.", mistake="other-word")
    if said in scenes.SCENES:
        return Problem(mistake="scene")
    if said in (*scenes.PARTS, *scenes.OBJECTS) and said != "background":
        return Problem(mistake="object-named")
    return Problem(f"Its words are: {', '.join(SCENERY_PARTS)}.", mistake="other-word")


def _as_it_was_made(value):
    """The browser as the notebook makes it, at concept 3 of the layer that it opens with, or new; nothing typed."""
    if not isinstance(value, Mapping) or str(value.get("name", "?")).strip():
        return False
    return value.get("layer") == stored.LAYERS[len(stored.LAYERS) // 2] and value.get("concept") in (0, 3)


def _browsed(name="sky", layer="conv3", concept=52, **parts):
    shares = {part.replace("_", " "): share for part, share in (parts or {"sky": 0.6, "cloud": 0.3, "wing": 0.1}).items()}
    return {"layer": layer, "concept": concept, "name": name, "parts": shares}


ONLY_BACKGROUND = AnswerExercise(
    id="6.3",
    title="Only background",
    stars=2,
    minutes=7,
    judge=_background_judge,
    blank=_as_it_was_made,
    setup_source="""from vizcourse.lessons.concept_graph.atlas import scenes_atlas
from vizcourse.lessons.concept_graph.widgets import ConceptBrowser
browser = ConceptBrowser(scenes_atlas())""",
    solution_source="""# In the browser you look; this looks through all concepts of all layers.
from collections import Counter
from vizcourse.lessons.concept_graph import stored
from vizcourse.worlds.scenes.vocabulary import CLASSES, FORM, SCENERY_PARTS
found = []
for layer, nearest in stored.nearest().items():
    for number, pictures in enumerate(nearest):
        objects = Counter(FORM[CLASSES[each]] for each in stored.classes(pictures).tolist())
        scenery = [part for part in browser.atlas.parts_of(layer, number) if part.name in SCENERY_PARTS]
        if scenery and max(objects.values()) <= 10:
            found.append((sum(part.share for part in scenery), layer, number, scenery[0].name))
share, layer, number, name = max(found)
browser.set(layer=layer, concept=number, name=name)
answer("6.3", browser)""",
    hints=(
        "The frames tell, not the whole patches: look for a concept whose frames hold next to nothing of an object. Once it "
        "has a name, any name, the browser says what its vectors have seen.",
        "What stands around the frames? If it is the same object in all of the patches, the concept is about that object: a "
        "bicycle is mostly what one sees through it.",
        "`conv3` has the most of them. Look for patches of one even colour, or for a horizon.",
    ),
    mistakes=(
        Mistake(
            "objects",
            "Most of this concept's vectors have seen objects.",
            _browsed(name="road", wheel=0.6, bumper=0.2, road=0.2),
        ),
        Mistake(
            "mixed",
            "Many of this concept's vectors have mostly seen scenery, the others an object. Asked for is one with scenery for "
            "15 or more of the 20, which is 75 %.",
            _browsed(name="road", road=0.55, sand=0.1, wheel=0.35),
        ),
        Mistake(
            "one-object",
            "By the labels, what its vectors have seen is scenery; and yet most of the pictures show one and the same object. "
            "A bicycle, a flower or a tree leaves much open, and what shows through is labelled as scenery. The concept is "
            "about the object: the labels' name for it, however convincing, is wrong.",
            _browsed(name="sand", layer="inception4b", concept=35, sand=0.6, road=0.35, wheel=0.05),
        ),
        Mistake(
            "object-named",
            "It is background, and you name it after an object, or a part of one. Its vectors have mostly seen scenery: which "
            "part of it?",
            _browsed(name="sailing boat"),
        ),
        Mistake(
            "scene",
            "It is background, and you give it the name of a whole scene. It points at one part of it: which?",
            _browsed(name="night city"),
        ),
        Mistake(
            "other-part",
            "It is background, but more of its vectors have seen another part of the scenery than you say.",
            _browsed(name="cloud"),
        ),
        Mistake(
            "other-word",
            "It is background. Now call it by the word that the world has for that part of its scenery.",
            _browsed(name="blue"),
        ),
    ),
    unlisted=(
        "sky",
        3,
        {"layer": "inception4b", "concept": 3},
        {"layer": "inception4b", "concept": 3, "name": "sky"},
        _browsed(name=""),  # moved, and not named
    ),
    insight="The last two layers have none: what the labels call scenery there is seen through a bicycle, flower or tree.",
    used_next="The next figure counts how pure concepts are, by part and by object.",
)
