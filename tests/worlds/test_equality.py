"""The world of hierarchical equality."""

import pytest
import torch

from vizcourse.worlds import equality


def test_labels_and_counterfactuals_by_hand():
    same, other = [1.0, 2.0], [1.0, 3.0]
    both, left, right, none = (
        torch.tensor([pair]) for pair in ([same] * 4, [same] * 3 + [other], [same, other, same, same], [same, other] * 2)
    )
    for things, equal, label in [(both, [1, 1], 1), (left, [1, 0], 0), (right, [0, 1], 0), (none, [0, 0], 1)]:
        assert equality.equal(things)[0].int().tolist() == equal
        assert equality.labels(things).item() == label
    assert equality.counterfactual(both, right, "left").item() == 0
    assert equality.counterfactual(both, right, "right").item() == 1
    assert equality.counterfactual(none, both, "left").item() == 0


def test_sample():
    things = equality.sample(2000, 3)
    assert things.shape == (2000, 4, 2) and torch.equal(things, equality.sample(2000, 3))
    assert (things == things.round()).all()
    assert ((equality.equal(things).float().mean(0) - 0.5).abs() < 0.05).all()
    with pytest.raises(ValueError, match="at least 1"):
        equality.sample(0)
    with pytest.raises(ValueError, match="'left' or 'right'"):
        equality.counterfactual(things, things, "middle")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_network_is_exact(seed):
    network, things = equality.EqualityNetwork(seed), equality.sample(1000, 9)
    logits = network(things)
    assert torch.equal(logits.argmax(1), equality.labels(things))
    # "no" gets 1 where the two variables differ, and "yes" the rest.
    expected = torch.stack([1.0 - equality.labels(things), equality.labels(things)], dim=1)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_plane():
    network = equality.EqualityNetwork()
    plane = equality.plane(network, turned=30)
    torch.testing.assert_close(plane.T @ plane, torch.eye(2), atol=1e-6, rtol=0)
    for angle, place in ((30, 0), (120, 1)):
        radians = torch.deg2rad(torch.tensor(float(angle)))
        direction = plane @ torch.stack([radians.cos(), radians.sin()])
        torch.testing.assert_close(direction, network.directions[:, place], atol=1e-5, rtol=0)
