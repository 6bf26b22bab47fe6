"""The networks that the course looks into: `load(name)`, and a card with the facts on each."""

from vizcourse.models.zoo import WeightsError, card, cards, load, names, untrained

__all__ = ["WeightsError", "card", "cards", "load", "names", "untrained"]
