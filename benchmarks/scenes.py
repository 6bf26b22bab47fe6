"""How fast `vizcourse.worlds.scenes` draws, on one core: ``python benchmarks/scenes.py``.

The bar is 300 pictures a second at 96 by 96 with all labels, sampling not counted. The peer draws the same outlines
with PIL on a grid three times finer and averages them: flat colours, no textures, materials, light, shadows or labels.
The two take turns; the median of the rounds is printed, in processor time and in elapsed time, because other programs
that run on the machine lengthen the second.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageDraw

from vizcourse.worlds import scenes
from vizcourse.worlds.scenes import rendering
from vizcourse.worlds.scenes.scenery import scenery
from vizcourse.worlds.scenes.vocabulary import LAYOUTS

PICTURES, ROUNDS, BAR = 300, 5, 300


def peer(made: list[scenes.Scene], size: int) -> None:
    """The outlines of each scene with PIL, turned into a float tensor."""
    grid = 3 * size
    for scene in made:
        behind = scenery(scene.scene, scene.layout)
        layers = [(behind.edges.points, behind.edges.owner, behind.first, behind.rgb)]
        layers += [(item.points, item.owner, item.first, item.rgb) for item in rendering._items(scene)]
        image = Image.new("RGB", (grid, grid))
        canvas = ImageDraw.Draw(image)
        for points, owner, first, rgb in layers:
            corners = (points[:2] * grid).T
            borders = np.searchsorted(owner, np.arange(len(first) + 1))
            for polygon, entry in enumerate(first):
                outline = corners[borders[polygon]:borders[polygon + 1]].ravel().tolist()
                canvas.polygon(outline, fill=tuple(int(channel) for channel in rgb[entry]))
        torch.from_numpy(np.array(image.reduce(3))).permute(2, 0, 1).float() / 255


def measure(draw: Callable[[list[scenes.Scene]], object], made: list[scenes.Scene]) -> tuple[float, float]:
    """Pictures a second of processor time and of elapsed time."""
    elapsed, used = time.perf_counter(), time.process_time()
    draw(made)
    return PICTURES / (time.process_time() - used), PICTURES / (time.perf_counter() - elapsed)


def main() -> None:
    torch.set_num_threads(1)
    used = time.process_time()
    for name in scenes.SCENES:
        for layout in range(LAYOUTS):
            scenery(name, layout)
    print(f"all {len(scenes.SCENES) * LAYOUTS} sceneries, once in a process: {time.process_time() - used:.1f} s\n")

    rows: dict[str, Callable[[list[scenes.Scene]], object]] = {}
    for size in (64, 96, 128, 224):
        rows[f"{size} px with labels"] = lambda made, size=size: [scenes.render(one, size, labels=True) for one in made]
        rows[f"{size} px, picture only"] = lambda made, size=size: [scenes.render(one, size) for one in made]
        rows[f"{size} px, PIL, flat outlines only"] = lambda made, size=size: peer(made, size)
    rows["96 px with labels, as one batch"] = lambda made: scenes.render(made, 96, labels=True)
    rows["sampling"] = lambda made: scenes.sample(PICTURES, seed=ROUNDS)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for number in range(ROUNDS):
        made = scenes.sample(PICTURES, seed=number)
        for name, draw in rows.items():
            found[name].append(measure(draw, made))
    print(f"{'pictures a second on one core':45} {'processor':>10} {'elapsed':>10}")
    for name, speeds in found.items():
        processor, elapsed = (statistics.median(speed[i] for speed in speeds) for i in (0, 1))
        print(f"{name:45} {processor:10.0f} {elapsed:10.0f}")
    reached = statistics.median(s[0] for s in found["96 px with labels"])
    print(f"bar: {BAR} at 96 px with labels: {'reached' if reached >= BAR else 'MISSED'} ({reached:.0f})")


if __name__ == "__main__":
    main()
