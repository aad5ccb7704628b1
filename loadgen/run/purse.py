"""What a run may cost: asked before every request, told after it. One purse for all targets."""

from collections.abc import Collection
from typing import Final

from loadgen.run.most import most_usd
from loadgen.scenario.model import Target
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

_ROUNDING: Final = 1 + 1e-9


class Purse:
    """Keeps what is spent, and what those in flight can still cost, within `max_usd` (None: no bound).

    spent_usd: by those that have ended; held_usd: set aside for those in flight. empty: a request could have
    gone beyond the bound; from then on there is nothing for any. before: of the requests to a target before
    the run, what they cost, how many of them, and how many more whose cost nothing told.
    """

    def __init__(self, max_usd: float | None) -> None:
        self.max_usd = max_usd
        self.spent_usd = self.held_usd = 0.0
        self.empty = False
        self.before: dict[str, tuple[float, int, int]] = {}

    def hold(self, target: Target, prompt: Prompt) -> float | None:
        """Set aside the most that a request can cost; None: it is not to be sent. A few microseconds."""
        if self.max_usd is None:
            return 0.0
        if self.empty:
            return None
        most = most_usd(target, prompt)
        if self.spent_usd + self.held_usd + most > self.max_usd * _ROUNDING:
            self.empty = True
            return None
        self.held_usd += most
        return most

    def settle(self, held_usd: float, timeline: Timeline, usd: float | None) -> None:
        """Take what a request has cost for what was set aside; where nothing tells it, all of that."""
        self.held_usd -= held_usd
        self.spent_usd += usd if usd is not None else 0.0 if _unbilled(timeline) else held_usd

    def note_before(self, target: str, usd: float | None) -> None:
        """Keep the cost of a request before the run."""
        sum_usd, paid, unknown = self.before.get(target, (0.0, 0, 0))
        known = usd is not None
        self.before[target] = (sum_usd + (usd or 0.0), paid + known, unknown + (not known))

    def before_of(self, targets: Collection[str]) -> tuple[float, int, int]:
        """Return `before` of several targets together."""
        found = [sums for name, sums in self.before.items() if name in targets]
        return sum(s[0] for s in found), sum(s[1] for s in found), sum(s[2] for s in found)


def _unbilled(timeline: Timeline) -> bool:
    """Whether it never left, or was refused: nobody asks money for that."""
    return timeline.sent_ns is None or (timeline.status or 0) >= 400
