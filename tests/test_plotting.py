"""The course's figures: what several lessons draw."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from vizcourse import plotting
from vizcourse.methods.intervals import Interval


def drawn(height=2):
    return plotting.new(4, height)


def test_bars_stand_in_order_with_their_values():
    _, axes = drawn()
    plotting.bars(axes, ["cat", "dog"], torch.tensor([0.25, 0.75]), [0.5, -1], labels=["before", "after"], number="{:.1f}")
    before, after = axes.containers
    assert [bar.get_width() for bar in before] == [0.25, 0.75] and [bar.get_width() for bar in after] == [0.5, -1]
    assert before[0].get_hatch() != after[0].get_hatch()  # colour is never alone
    assert [text.get_text() for text in axes.texts] == ["0.2", "0.8", "0.5", "-1.0"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["cat", "dog"] and axes.yaxis_inverted()
    # Beside each other, not over each other.
    assert before[0].get_y() + before[0].get_height() == pytest.approx(after[0].get_y())


def test_bars_by_sign():
    _, axes = drawn()
    plotting.bars(axes, ["for", "against"], [1.0, -2.0], by_sign=True)
    rising, falling = axes.containers[0]
    assert rising.get_facecolor() != falling.get_facecolor() and rising.get_hatch() != falling.get_hatch()


def test_intervals_as_points_and_as_a_band():
    rows = [[0.5, 0.4, 0.7], Interval(0.2, 0.1, 0.3), [0.9, 0.95, 0.99]]  # the last estimate lies outside its interval
    figure, axes = drawn()
    plotting.interval(axes, [0, 1, 2], rows, label="points")
    points, _, (lines,) = axes.containers[0]
    assert points.get_ydata().tolist() == [0.5, 0.2, 0.9]
    assert [line[:, 1].tolist() for line in lines.get_segments()] == [
        pytest.approx([0.4, 0.7]), pytest.approx([0.1, 0.3]), pytest.approx([0.9, 0.99])
    ]  # fmt: skip
    _, axes = drawn()
    plotting.interval(axes, [0, 1, 2], rows, band=True)
    assert axes.lines[0].get_ydata().tolist() == [0.5, 0.2, 0.9] and len(axes.collections) == 1
    assert plotting.png(figure)[:4] == b"\x89PNG"


def test_a_table_is_text_and_page():
    table = plotting.table(["method", "ours", "paper"], [["CAM", "0.50", 12], ["<b>", "1", "0.3"]], "Shares")
    bundle = table._repr_mimebundle_()
    assert bundle["text/plain"] == "Shares\nmethod  ours  paper\nCAM     0.50     12\n<b>        1    0.3"
    assert "&lt;b&gt;" in bundle["text/html"] and "<caption>Shares</caption>" in bundle["text/html"]
    with pytest.raises(ValueError, match="needs 3 cells"):
        plotting.table(["method", "ours", "paper"], [["CAM", "0.50"]])


def test_noisy_pictures_are_smaller_as_jpeg_and_keep_their_colours():
    noise = torch.rand(3, 200, 200, generator=torch.Generator().manual_seed(0))
    red = torch.zeros(3, 64, 64)
    red[0] = 1
    full, small = (plotting.images([noise, red], ["", "red"], description="Two", jpeg=jpeg) for jpeg in (False, True))
    assert (full.kind, small.kind) == ("png", "jpeg") and len(small.content) < len(full.content) / 2
    data, facts = small._repr_mimebundle_()
    assert base64.b64decode(data["image/jpeg"]) == small.content and facts["image/jpeg"]["alt"] == "Two"
    pixels = np.asarray(Image.open(io.BytesIO(small.content)).convert("RGB"), dtype=int)
    right = pixels[pixels.shape[0] * 2 // 3, pixels.shape[1] * 3 // 4]
    assert abs(right - [255, 0, 0]).max() < 12
