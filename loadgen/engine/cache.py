"""The prefix cache of an engine: which beginnings of prompts it need not compute again."""

from collections.abc import Sequence
from typing import Final

BLOCK_TOKENS: Final = 16
"""Prompts are cached in blocks of so many tokens (the default of vLLM's automatic prefix caching)."""


class PrefixCache:
    """Blocks of prompts seen before, the least recently used forgotten first.

    A block is a number that stands for its own tokens and all before them, so that equal numbers mean equal
    beginnings (a chained hash, as in vLLM). capacity_tokens: kept at most; 0 keeps nothing.
    """

    def __init__(self, capacity_tokens: int) -> None:
        self._capacity = capacity_tokens // BLOCK_TOKENS
        self._blocks: dict[int, None] = {}  # in the order of their last use

    def __len__(self) -> int:
        return len(self._blocks)

    def take(self, blocks: Sequence[int]) -> int:
        """Return how many blocks of a prompt are here, from its beginning on; they count as used now."""
        known = 0
        while known < len(blocks) and blocks[known] in self._blocks:
            known += 1
        self._use(blocks[:known])
        return known

    def add(self, blocks: Sequence[int]) -> None:
        """Keep the blocks of a prompt that has been computed."""
        self._use(blocks[: self._capacity])
        while len(self._blocks) > self._capacity:
            del self._blocks[next(iter(self._blocks))]

    def _use(self, blocks: Sequence[int]) -> None:
        for block in reversed(blocks):  # the end of a prompt is forgotten before its beginning
            self._blocks.pop(block, None)
            self._blocks[block] = None
