"""What ends a window early: enough is known, or too much fails. Asked once a second, not per request."""

from collections import deque
from collections.abc import Sequence

from loadgen.measure.recorder import TargetRecorder
from loadgen.scenario.traffic import ErrorStop, Until

_FEWEST: int = 20


def tight_enough(until: Sequence[Until], recorders: Sequence[TargetRecorder]) -> bool:
    """Whether the 95 % intervals of the chosen percentiles are within their shares of them, everywhere."""
    return bool(until) and all(_tight(rule, recorder) for rule in until for recorder in recorders)


def _tight(rule: Until, recorder: TargetRecorder) -> bool:
    known = recorder.distribution(rule.metric)
    middle, interval = known.percentile(rule.percentile), known.interval(rule.percentile)
    if middle is None or interval is None:
        return False
    low, high = interval
    return max(high - middle, middle - low) <= rule.relative * middle


class ErrorShare:
    """The share of failures among what ended within a sliding window of time, of all targets together."""

    def __init__(self, rule: ErrorStop) -> None:
        self._rule = rule
        self._seen: deque[tuple[int, int, int]] = deque()  # (instant, ended, failed), sums from the beginning

    def exceeded(self, now_ns: int, recorders: Sequence[TargetRecorder]) -> bool:
        """Take note of the counts as of now; whether the share over the window is above the rule's."""
        ended = failed = 0
        for recorder in recorders:
            counts = [c for outcomes in recorder.outcomes.values() for c in outcomes.items()]
            ended += sum(n for outcome, n in counts if outcome != "cancelled")
            failed += sum(n for outcome, n in counts if outcome not in ("ok", "cancelled"))
        self._seen.append((now_ns, ended, failed))
        while len(self._seen) > 1 and self._seen[1][0] <= now_ns - self._rule.over_ns:
            self._seen.popleft()
        since = self._seen[0]
        if now_ns - since[0] < self._rule.over_ns:
            since = (0, 0, 0)  # the run is younger than the window
        ended, failed = ended - since[1], failed - since[2]
        return ended >= _FEWEST and failed > self._rule.share * ended
