"""What routes did with the requests of a routed mix."""

from collections import Counter

from loadgen.measure.sample import Sample


class Routing:
    """Counts of one recorder. All are of the measurement window.

    requests: by the route's number and the risk. usd: what those cost of which it is known, by the route's
    number. moved: later turns that went to another target than the turn before.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[int, str | None]] = Counter()
        self.usd: dict[int, float] = {}
        self.moved = 0
        self._was: dict[int, str | None] = {}  # of conversations that go on, by session

    def add(self, sample: Sample, rule: int) -> None:
        """Enter one request of any phase; rule: the number of its route."""
        was = self._was.pop(sample.session, sample.route)
        if not sample.last_turn:
            self._was[sample.session] = sample.route
        if sample.phase == "measure":
            self.requests[rule, sample.risk] += 1
            self.moved += sample.route != was
            if sample.cost_usd is not None:
                self.usd[rule] = self.usd.get(rule, 0.0) + sample.cost_usd
