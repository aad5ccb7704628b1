"""What is only added up of a target's requests: tokens, and the words of its errors."""

from collections import Counter
from typing import Final

from loadgen.measure.sample import Sample

_MOST_TEXTS: Final = 100
_OTHER: Final = "(other errors)"


class TokenSums:
    """Token sums over the window's requests.

    sums: "prompt", "cached", "reasoning" and "output". sources: successful requests by what counted their
    output. prompt_told, requests_told: of those requests whose usage tells how many tokens were cached.
    """

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()
        self.prompt_told = self.requests_told = 0

    def add(self, sample: Sample) -> None:
        """Enter one request."""
        sums = self.sums
        sums["prompt"] += sample.prompt_tokens or 0
        if sample.cached_tokens is not None:
            sums["cached"] += sample.cached_tokens
            self.prompt_told += sample.prompt_tokens or 0
            self.requests_told += 1
        sums["reasoning"] += sample.reasoning_tokens or 0
        sums["output"] += sample.output_tokens or 0
        if sample.token_source is not None and sample.outcome == "ok":
            self.sources[sample.token_source] += 1


class ErrorTexts:
    """How often each error's text came, in all phases.

    They may hold request ids and times: of those beyond a hundred only the number is kept, so that a server
    that varies them does not fill the memory.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Enter one error."""
        known = text in self.counts or len(self.counts) < _MOST_TEXTS
        self.counts[text if known else _OTHER] += 1
