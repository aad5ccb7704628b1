"""How long a text is in tokens: by an estimate of characters a token, or exactly, by a tokenizer's file."""

from collections.abc import Callable
from typing import Protocol


class Ruler(Protocol):
    """Measures texts in tokens, and finds how many characters make an asked length.

    exact: whether it counts with the model's own tokenizer.
    """

    exact: bool

    def count(self, text: str) -> float:
        """Return the tokens of a text."""
        ...

    def chars(self, tokens: float, count_at: Callable[[int], float]) -> int:
        """Return how many characters (0 or more) make so many tokens.

        count_at: counts, with this ruler, what a number of characters gives; an estimate does not ask it.
        """
        ...


class Estimate:
    """Every token is so many characters."""

    exact = False

    def __init__(self, chars_per_token: float) -> None:
        self._chars_per_token = chars_per_token

    def count(self, text: str) -> float:
        """Return the characters of a text in tokens; not a whole number."""
        return len(text) / self._chars_per_token

    def chars(self, tokens: float, _count_at: Callable[[int], float]) -> int:
        """Return the characters of so many tokens."""
        return max(0, round(tokens * self._chars_per_token))
