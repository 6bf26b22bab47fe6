"""2.3, a window at a random place."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, Problem, edits


def jitter(images, pixels):
    """Cut a window that is `pixels` smaller, at a random place: (N, 3, H, W) -> (N, 3, H - pixels, W - pixels)."""
    top = int(torch.randint(pixels + 1, ()))
    left = int(torch.randint(pixels + 1, ()))
    height, width = images.shape[2] - pixels, images.shape[3] - pixels
    return images[:, :, top : top + height, left : left + width]


def _jitter_judge(learner):
    pixels, (height, width) = 3, (8, 10)
    # Every pixel holds another number, so a window can be told by its first one.
    images = torch.arange(2.0 * 3 * height * width).view(2, 3, height, width).requires_grad_()
    seen = []
    for _ in range(400):
        result = learner(images, pixels)
        if not isinstance(result, torch.Tensor):
            return f"`jitter` returned {type(result).__name__}: return the pictures, a tensor (N, 3, H − pixels, W − pixels)."
        if result.shape != (2, 3, height - pixels, width - pixels):
            return _wrong_shape(learner, images, result, pixels)
        if not result.requires_grad:
            return Problem(mistake="cut-loose")
        first = result.detach()[:, 0, 0, 0] - images.detach()[:, 0, 0, 0]  # how many pixels were passed over
        places = [divmod(round(float(number)), width) for number in first]
        for image, part, (top, left) in zip(images.detach(), result.detach(), places, strict=True):
            window = image[:, top : top + height - pixels, left : left + width - pixels]
            if not (0 <= top <= pixels and 0 <= left <= pixels and torch.equal(window, part)):
                return (
                    "What comes back is not a window of the picture: no pixel's value may change, and rows and columns must "
                    "stay next to each other. Cut with `images[:, :, top:top + height, left:left + width]`."
                )
        if places[0] != places[1]:
            return Problem(mistake="each-its-own")
        seen.append(places[0])
    tops, lefts = {top for top, _ in seen}, {left for _, left in seen}
    if len(set(seen)) == 1:
        return Problem(mistake="never-moves")
    if len(tops) == 1 or len(lefts) == 1:
        return Problem(mistake="one-axis")
    if all(top == left for top, left in seen):
        return Problem(mistake="diagonal")
    if tops == lefts == set(range(pixels)):
        return Problem(mistake="one-short")
    counts = [seen.count((top, left)) for top in range(pixels + 1) for left in range(pixels + 1)]
    sides = [[axis.count(place) for place in range(pixels + 1)] for axis in zip(*seen, strict=True)]
    # By chance alone the sum of squares is above this once in some ten thousand times (15 and 3 degrees of freedom).
    if _unevenness(counts) > 45 or max(map(_unevenness, sides)) > 21:
        return (
            f"With pixels = {pixels} there are {len(counts)} places, each as likely as the others. In 400 draws, yours came "
            f"between {min(counts)} and {max(counts)} times."
        )
    return None if _repeatable(learner, images, pixels) else Problem(mistake="not-torch")


def _repeatable(learner, images, pixels):
    """Does a seed of PyTorch give the same twenty windows again?"""
    with torch.random.fork_rng(devices=[]):
        runs = []
        for _ in range(2):
            torch.manual_seed(0)
            runs.append([float(learner(images, pixels).detach()[0, 0, 0, 0]) for _ in range(20)])
    return runs[0] == runs[1]


def _unevenness(counts):
    """Pearson's sum of squares against equal probabilities."""
    expected = sum(counts) / len(counts)
    return sum((count - expected) ** 2 for count in counts) / expected


def _wrong_shape(learner, images, result, pixels):
    sizes = tuple(result.shape)
    wanted = f"For pictures (2, 3, 8, 10) and pixels = {pixels} the result must be (2, 3, 5, 7), not {sizes}."
    again = [learner(images, pixels) for _ in range(20)]
    if not all(isinstance(each, torch.Tensor) and each.ndim == 4 for each in [result, *again]):
        return wanted
    shapes = {tuple(each.shape[2:]) for each in [result, *again]}
    if (5, 7) in shapes and all(down in (0, 5) and across in (0, 7) for down, across in shapes):
        return Problem(wanted, mistake="minus-nothing")
    if len({each.shape for each in again}) > 1:
        return Problem(wanted, mistake="ragged")
    if result.shape == images.shape:
        return Problem(wanted, mistake=_moved_how(images.detach(), [result, *again], pixels))
    if sizes[2:] == (8 - 2 * pixels, 10 - 2 * pixels):
        return Problem(wanted, mistake="both-sides")
    return wanted


def _moved_how(images, results, pixels):
    """What was done to pictures that keep their size: "rolled", "filled" (moved, with something else at the rim), or None."""
    height, width = images.shape[2:]
    steps = [(down, across) for down in range(-pixels, pixels + 1) for across in range(-pixels, pixels + 1)]

    def overlap(moved, down, across):
        own = images[:, :, max(0, -down) : height - max(0, down), max(0, -across) : width - max(0, across)]
        other = moved[:, :, max(0, down) : height - max(0, -down), max(0, across) : width - max(0, -across)]
        return torch.equal(own, other)

    moved = [each.detach() for each in results if not torch.equal(each.detach(), images)]
    if moved and all(any(torch.equal(each, images.roll(step, (2, 3))) for step in steps) for each in moved):
        return "rolled"
    if moved and all(any(step != (0, 0) and overlap(each, *step) for step in steps) for each in moved):
        return "filled"
    return None


JITTER = CodeExercise(
    id="2.3",
    title="Jitter",
    stars=2,
    minutes=7,
    reference=jitter,
    judge=_jitter_judge,
    hints=(
        "The window is H − pixels rows high. Its first row may be 0, 1, …, pixels: that is pixels + 1 possibilities, and "
        "`torch.randint(n, ())` draws from 0 to n − 1.",
        "Draw twice, once for the rows and once for the columns, and cut with "
        "`images[:, :, top:top + height, left:left + width]`.",
    ),
    mistakes=(
        Mistake(
            "rolled",
            "You roll the picture: what leaves on one side comes in on the other, and the network sees a seam that "
            "belongs to no picture. Cut a smaller window instead.",
            edits("images[:, :, top : top + height, left : left + width] -> images.roll((top, left), (2, 3))"),
        ),
        Mistake(
            "filled",
            "The picture keeps its size, and something else stands where it has moved away: an edge that the network will "
            "answer to. Cut a window that is smaller by `pixels`.",
            edits(
                "[:, :, top : top + height, left : left + width] ->",
                "return images -> return torch.nn.functional.pad(images, (left, -left, top, -top))",
            ),
        ),
        Mistake(
            "each-its-own",
            "Each picture of the batch gets its own shift. Jitter shall be the same for all, so that pictures "
            "rendered together differ only by what they are to raise: draw once.",
            lambda images, pixels: torch.cat([jitter(image[None], pixels) for image in images]),
        ),
        Mistake(
            "diagonal",
            "The shifts down and across are always equal: the picture moves along one diagonal only. Draw two numbers.",
            edits("left = int(torch.randint(pixels + 1, ())) -> left = top"),
        ),
        Mistake(
            "one-axis",
            "The picture moves along one axis only: draw a number for rows and one for columns.",
            edits("top = int(torch.randint(pixels + 1, ())) -> top = 0"),
        ),
        Mistake(
            "one-short",
            "The last place is never reached: there are pixels + 1 places (0, 1, …, pixels), and `torch.randint(n, ())` draws "
            "from 0 to n − 1.",
            edits("pixels + 1 -> pixels"),
        ),
        Mistake(
            "never-moves",
            "The window stands at the same place every time, so the picture can adapt to it. Draw anew at each call, and "
            "set no seed inside.",
            edits("top = int -> torch.manual_seed(0); top = int"),
        ),
        Mistake(
            "ragged",
            "The window's size changes from call to call. It is always H − pixels by W − pixels: where less is cut away at the "
            "top or left, more is at the bottom or right.",
            edits("top : top + height, left : left + width -> top:, left:"),
        ),
        Mistake(
            "both-sides",
            "Your window is smaller by twice `pixels`. Above and below together it is `pixels` rows: top of them above, "
            "pixels − top below; columns likewise.",
            edits("pixels + 1 -> 2 * pixels + 1", "- pixels -> - 2 * pixels"),
        ),
        Mistake(
            "cut-loose",
            "The result has lost its history (`.detach()`, `torch.tensor`, numpy or no_grad), so no gradient gets back to the "
            "picture.",
            edits("return images -> return images.detach()"),
        ),
        Mistake(
            "minus-nothing",
            "At some places your window is empty. A slice that ends at `-0` ends at 0, before it has begun: give the end as "
            "`top + height`.",
            edits("top + height -> -(pixels - top)", "left + width -> -(pixels - left)"),
        ),
        Mistake(
            "not-torch",
            "After the same `torch.manual_seed` your windows are not the same again, so they are drawn elsewhere (Python, "
            "NumPy, a generator of your own). Draw with `torch.randint`: then a picture can be made again.",
            edits("int(torch.randint(pixels + 1, ())) -> random.randint(0, pixels)", "top = -> import random; top ="),
        ),
    ),
    unlisted=(
        lambda images, pixels: jitter(images + 0.01 * torch.randn_like(images), pixels),
        edits("int(torch.randint(pixels + 1, ())) -> int((torch.rand(()) * pixels).round())"),
        lambda images, pixels: images + torch.randn_like(images),
        lambda images, pixels: images,
        lambda images, pixels: images[:, :, : -pixels - 1, : -pixels - 1],
        lambda images, pixels: jitter(images, pixels).flip(3),
    ),
    insight="A pattern that works at one place of the pixel grid only is no longer worth painting.",
    used_next="`render` does this, a little turning and scaling before every step.",
)
