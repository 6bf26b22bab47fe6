"""2.4, a picture made of waves."""

import torch

from vizcourse.exercises.core import CodeExercise, Mistake, edits


def fourier_picture(spectrum, size):
    """From waves to pictures: (N, 3, size, size // 2 + 1, 2) -> (N, 3, size, size) in (0, 1)."""
    down = torch.fft.fftfreq(size)[:, None]
    across = torch.fft.rfftfreq(size)[None, :]
    frequency = (down**2 + across**2).sqrt()
    scale = 1 / frequency.clamp_min(1 / size)
    waves = torch.view_as_complex(spectrum) * scale
    return torch.sigmoid(torch.fft.irfft2(waves, s=(size, size), norm="ortho") / 4)


def _fourier_cases(seed):
    generator = torch.Generator().manual_seed(seed)

    def spectrum(count, size):
        return 0.5 * torch.randn(count, 3, size, size // 2 + 1, 2, generator=generator)

    return [(spectrum(count, size), size) for count, size in ((1, 4), (1, 5), (2, 8), (1, 9))]


FOURIER = CodeExercise(
    id="2.4",
    title="A picture made of waves",
    stars=3,
    minutes=12,
    reference=fourier_picture,
    cases=_fourier_cases,
    hints=(
        "`torch.fft.fftfreq(size)[:, None]` and `torch.fft.rfftfreq(size)[None]` are the frequencies down and across, in "
        "cycles per pixel; the frequency of a wave is the root of the sum of their squares.",
        "At the place of frequency 0 (the mean brightness) 1/f is infinite: `frequency.clamp_min(1 / size)` before dividing.",
        '`torch.view_as_complex(spectrum) * scale`, then `torch.fft.irfft2(…, s=(size, size), norm="ortho")`, '
        "divided by 4, then the sigmoid.",
    ),
    mistakes=(
        Mistake(
            "upside-down",
            "The scale stands on its head: you multiply by the frequency (or divide by 1/f), so the fastest waves get the "
            "longest steps, and you get more noise than without any scale.",
            edits("* scale -> / scale"),
        ),
        Mistake(
            "no-floor",
            "The frequency of the mean brightness is 0, and 1/0 is infinite (or, with a tiny number added, gigantic): the "
            "whole picture is black, white or NaN. The floor is 1/size, the slowest wave that fits into the picture: "
            "`frequency.clamp_min(1 / size)`.",
            edits(".clamp_min(1 / size) ->"),
        ),
        Mistake(
            "added-floor",
            "You add 1/size to every frequency, which makes all waves weaker, the coarse ones by half. The floor is a maximum, "
            "`frequency.clamp_min(1 / size)`: it changes frequency 0 and nothing else.",
            edits("frequency.clamp_min(1 / size) -> (frequency + 1 / size)"),
        ),
        Mistake(
            "no-brightness",
            "The wave of frequency 0 plays no part, so the mean brightness can never change. Give it the scale of the slowest "
            "wave, by `frequency.clamp_min(1 / size)`.",
            edits("waves = -> scale[0, 0] = 0; waves ="),
        ),
        Mistake(
            "one-at-zero",
            "At frequency 0 your scale is 1, less than that of the fastest wave. Give it that of the slowest, `size`: "
            "`frequency.clamp_min(1 / size)`.",
            edits("waves = -> scale[0, 0] = 1; waves ="),
        ),
        Mistake(
            "no-scale",
            "All waves are treated alike. Without the scale this is a change of coordinates that keeps "
            "all lengths, and gradient ascent gives the same noise as with pixels. Multiply by 1/frequency "
            "(its floor is 1/size: with 1, no frequency would be above it).",
            edits(" * scale ->"),
        ),
        Mistake(
            "power",
            "You scale by 1/f². It is the *power* of natural pictures that falls with 1/f²; their amplitude, which "
            "you scale here, falls with 1/f.",
            edits("* scale -> * scale**2"),
        ),
        Mistake(
            "across-only",
            "Only the frequency across is used, so waves that run down the picture stay as noisy as before. The frequency is "
            "√(down² + across²).",
            edits("down**2 + across**2 -> across**2"),
        ),
        Mistake(
            "down-only",
            "Only the frequency down is used, so waves that run across the picture stay as noisy as before. The frequency is "
            "√(down² + across²).",
            edits("down**2 + across**2 -> down**2"),
        ),
        Mistake(
            "floor-of-96",
            "Your floor is 1/96 whatever the size. It is that of the slowest wave that fits: `frequency.clamp_min(1 / size)`.",
            edits("1 / size -> 1 / 96"),
        ),
        Mistake(
            "added",
            "You add the frequencies down and across. A slanted wave's frequency is the root of the sum of their squares, so "
            "that no orientation is preferred.",
            edits("(down**2 + across**2).sqrt() -> down.abs() + across"),
        ),
        Mistake(
            "row-numbers",
            "Your frequencies grow from the first to the last row, but the second half of the rows holds negative "
            "frequencies, which get slower again. `torch.fft.fftfreq(size)` knows.",
            edits("torch.fft.fftfreq(size) -> torch.arange(size) / size"),
        ),
        Mistake(
            "too-weak",
            "Your waves are `size` times too weak, and the picture is nearly grey. Is the frequency in cycles per picture and "
            'not per pixel, the scale divided by its largest, or norm="ortho" missing? (Without it the inverse transform '
            "divides by size².)",
            edits("frequency.clamp_min(1 / size) -> (size * frequency).clamp_min(1)"),
        ),
        Mistake("no-four", "The division by 4 before the sigmoid is missing: the contrasts are too hard.", edits(" / 4 ->")),
        Mistake(
            "no-sigmoid", "The sigmoid is missing: these are not yet colours between 0 and 1.", edits("torch.sigmoid( -> (")
        ),
        Mistake(
            "clamped",
            "You cut off at 0 and 1. Where it cuts, the gradient is zero and the pixel is stuck for ever; "
            "the sigmoid always leaves a way back.",
            edits("torch.sigmoid( -> (0.5 + ", "/ 4) -> / 4).clamp(0, 1)"),
        ),
        Mistake(
            "real-only",
            "Only the first of each pair of numbers is used. Without the imaginary part a wave can have a height but no "
            "phase: it cannot be moved. `torch.view_as_complex` joins the pair.",
            edits("torch.view_as_complex(spectrum) -> spectrum[..., 0]"),
        ),
        Mistake(
            "no-size",
            "irfft2 cannot know whether the width was odd: it needs `s=(size, size)`.",
            edits("s=(size, size), ->"),
        ),
    ),
    unlisted=(
        edits('"ortho" -> "forward"'),
        lambda spectrum, size: fourier_picture(spectrum, size).transpose(2, 3),
        edits("as_complex(spectrum) -> as_complex(-spectrum)"),
    ),
    insight="Nothing is forbidden: every picture can still be reached. Only what is easy to reach has changed.",
    used_next="`fourier()` in the method is this, with the colours unmixed as well.",
)
