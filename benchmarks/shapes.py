"""How fast `vizcourse.worlds.shapes` draws, on one core: ``python benchmarks/shapes.py``.

Sampling and rendering are both timed, in batches as training uses them. The bar is 1,000 images a second
at 244 by 244. The peer is what the paper did: one PIL drawing a picture, without anti-aliasing; the two
take turns, and the median of the rounds is printed.
"""

import statistics
import time

import numpy as np
import torch
from PIL import Image, ImageDraw

from vizcourse.worlds import shapes

PICTURES, BATCH, ROUNDS, BAR = 512, 64, 5, 1000


def ours(seed: int, size: int = 244, dtype: torch.dtype = torch.float32, **knobs) -> None:
    for start in range(0, PICTURES, BATCH):
        shapes.render(shapes.sample(BATCH, seed + start, **knobs), size, dtype=dtype)


def peer(seed: int) -> None:
    """The same pictures with PIL, each turned into a float tensor."""
    for start in range(0, PICTURES, BATCH):
        images = []
        for picture in shapes.sample(BATCH, seed + start):
            image = Image.new("RGB", (244, 244), picture.background)
            draw = ImageDraw.Draw(image)
            for item in picture.items:
                (x, y), r = item.centre, item.size
                if item.shape == "circle":
                    draw.ellipse((x - r, y - r, x + r, y + r), fill=item.colour)
                elif item.shape == "square":
                    draw.rectangle((x - r, y - r, x + r - 1, y + r - 1), fill=item.colour)
                else:
                    draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=item.colour)
            images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255)
        torch.stack(images)


def main() -> None:
    torch.set_num_threads(1)
    textured = {"textures": shapes.TEXTURES, "background_textures": shapes.TEXTURES}
    contestants = {
        "ours, 244, float32": lambda seed: ours(seed),
        "PIL,  244, float32": peer,
        "ours, 244, uint8": lambda seed: ours(seed, dtype=torch.uint8),
        "ours, 244, float32, test split": lambda seed: ours(seed, split="test"),
        "ours, 244, float32, varied": lambda seed: ours(seed, **shapes.VARIED),
        "ours, 244, float32, textured": lambda seed: ours(seed, **textured),
        "ours, 64, float32": lambda seed: ours(seed, size=64),
    }
    rates = {name: [] for name in contestants}
    for seed in range(ROUNDS + 1):
        for name, make in contestants.items():
            begin = time.perf_counter()
            make(seed * PICTURES)
            rates[name].append(PICTURES / (time.perf_counter() - begin))
    print(f"images a second, one core, sampling included; median of {ROUNDS} rounds after one to warm up")
    for name, measured in rates.items():
        measured = measured[1:]
        middle, low, high = statistics.median(measured), min(measured), max(measured)
        print(f"  {name:32s} {middle:8.0f}   ({low:.0f} to {high:.0f})")
    middle = statistics.median(rates["ours, 244, float32"][1:])
    print(f"shapes_images_per_second={middle:.0f} bar={BAR} {'met' if middle >= BAR else 'MISSED'}")


if __name__ == "__main__":
    main()
