"""How long a text is in tokens: by an estimate of characters a token, or exactly, by a tokenizer's file."""

from collections.abc import Callable
from typing import Protocol


class Ruler(Protocol):
    """Measures texts in tokens, and cuts them to a length.

    exact: whether it counts with the model's own tokenizer.
    """

    exact: bool

    def count(self, text: str) -> float:
        """Return the tokens of a text."""
        ...

    def fit(self, make: Callable[[int], str], tokens: float) -> str:
        """Return the text of so many tokens: `make` gives the text of a number of characters (at least 0)."""
        ...


class Estimate:
    """Every token is so many characters."""

    exact = False

    def __init__(self, chars_per_token: float) -> None:
        self._chars_per_token = chars_per_token

    def count(self, text: str) -> float:
        """Return the characters of a text in tokens; not a whole number."""
        return len(text) / self._chars_per_token

    def fit(self, make: Callable[[int], str], tokens: float) -> str:
        """Return the text of so many tokens' characters."""
        return make(round(tokens * self._chars_per_token))
