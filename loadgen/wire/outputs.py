"""The events of an answer that carry output: when each was complete, and its characters."""

import numpy as np

from loadgen.wire.timeline import NO_EVENTS, Int64s


class Outputs:
    """Collects them in order. count: how many so far; reasoning: how many of them are of reasoning alone.

    After `finish`: event_ns, event_chars (shape (count,)), and first_answer_ns, of the first that is not.
    """

    def __init__(self) -> None:
        self.count = self.reasoning = 0
        self.event_ns = self.event_chars = NO_EVENTS
        self.first_answer_ns: int | None = None
        self._first_answer: int | None = None
        self._ends: list[int] = []  # of those without an instant yet
        self._chars: list[int] = []
        self._parts: list[tuple[Int64s, Int64s]] = []

    @property
    def last_ns(self) -> int | None:
        """Instant of the latest so far."""
        return next((int(stamps_ns[-1]) for stamps_ns, _ in reversed(self._parts) if len(stamps_ns)), None)

    def add(self, ends: list[int], chars: list[int], *, answer: bool) -> None:
        """Add some by the offsets at which they are complete; answer: whether they are (else reasoning)."""
        self._ends += ends
        self._chars += chars
        self._counted(len(ends), answer)

    def stamp(self, ends: Int64s, stamps_ns: Int64s) -> None:
        """Give those their instants: `ends` is where the parts end that came at `stamps_ns`."""
        if not self._ends:
            return
        if len(stamps_ns) == 1:
            stamps_ns = stamps_ns.repeat(len(self._ends))
        else:
            stamps_ns = stamps_ns[ends.searchsorted(self._ends)]
        self._parts.append((stamps_ns, np.array(self._chars, np.int64)))
        self._ends, self._chars = [], []

    def add_stamped(self, stamps_ns: Int64s, chars: Int64s, *, answer: bool) -> None:
        """Add some by their instants; those without a character are left out. Both have the same shape."""
        if np.count_nonzero(chars) < len(chars):
            stamps_ns, chars = stamps_ns[chars > 0], chars[chars > 0]
        self._parts.append((stamps_ns, chars))
        self._counted(len(chars), answer)

    def finish(self) -> None:
        """Put them together."""
        if len(self._parts) == 1:
            self.event_ns, self.event_chars = self._parts[0]
        elif self._parts:
            self.event_ns = np.concatenate([stamps_ns for stamps_ns, _ in self._parts])
            self.event_chars = np.concatenate([chars for _, chars in self._parts])
        if self._first_answer is not None:
            self.first_answer_ns = int(self.event_ns[self._first_answer])

    def _counted(self, n: int, answer: bool) -> None:
        if not answer:
            self.reasoning += n
        elif n and self._first_answer is None:
            self._first_answer = self.count
        self.count += n
