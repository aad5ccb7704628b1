"""Open loop: the arrivals as they were delivered, beside the plan's.

An arrival is the first request of a session; it is delivered when the generator begins to send it (or to
connect for it). Only a run's fidelity to its own plan is looked at here: the plan's law is not in question.
"""

from array import array
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loadgen.units import NS_PER_MS, NS_PER_S

Int64s = NDArray[np.int64]

OFF_PLAN_NS: Final = NS_PER_MS
"""An arrival that was delivered more than this after its planned time is off its plan."""
KEPT: Final = 2_000_000
"""Arrivals whose instants are kept, 16 bytes each; of those above only sums are."""


class Arrivals:
    """What was delivered of a plan's arrivals: noted in any order, since answers end in any order.

    dropped: what the cap on requests under way did away with, of all phases.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._targets: dict[str, _Delivered] = {}
        self._kept = 0

    def note(self, intended_ns: int, left_ns: int, target: str = "") -> None:
        """Enter one arrival: its planned time and when it left, both offsets from the epoch. About 0.5 µs."""
        delivered = self._targets.get(target)
        if delivered is None:
            delivered = self._targets[target] = _Delivered()
        delivered.note(intended_ns, left_ns, keep=self._kept < KEPT)
        self._kept += 1

    def summary(self, planned_ns: Int64s | None, targets: int, *, delayed: int = 0) -> dict[str, Any]:
        """Return `instrument.arrivals`; counts are over all targets, rates and gaps are those of one.

        planned_ns: the plan's arrivals up to where the run ended, sorted, the same for each of `targets`;
        None: not known (a run that was killed), then what was sent and dropped stands for it.
        delayed: how many the cap made wait. `off_plan`: delivered more than 1 ms after
        the planned time and not because of the cap. A gap's variation (cv) is stddev / mean.
        """
        known = list(self._targets.values())
        sent = sum(d.sent for d in known)
        plans = [d.intended() for d in known] if planned_ns is None else [planned_ns]
        return {
            "planned": sent + self.dropped if planned_ns is None else len(planned_ns) * targets,
            "sent": sent,
            "dropped": self.dropped,
            "delayed": delayed,
            "off_plan": max(0, sum(d.off_plan for d in known) - delayed),
            "max_early_ns": max((d.max_early_ns for d in known), default=0),
            "planned_gap_cv": _gap_cv(plans),
            "delivered_gap_cv": _gap_cv([d.left() for d in known]),
            "rate_planned_per_s": _mean([_rate(len(p), int(p[0]), int(p[-1])) for p in plans if len(p)]),
            "rate_delivered_per_s": _mean([_rate(d.sent, d.first_ns, d.last_ns) for d in known]),
            "span_s": max(((d.last_ns - d.first_ns) / NS_PER_S for d in known), default=0.0),
        }


class _Delivered:
    """The arrivals of one target."""

    def __init__(self) -> None:
        self.sent = self.off_plan = self.max_early_ns = 0
        self.first_ns = self.last_ns = 0
        self._intended = array("q")
        self._left = array("q")

    def note(self, intended_ns: int, left_ns: int, *, keep: bool) -> None:
        late_ns = left_ns - intended_ns
        if late_ns > OFF_PLAN_NS:
            self.off_plan += 1
        elif -late_ns > self.max_early_ns:
            self.max_early_ns = -late_ns
        if not self.sent or left_ns < self.first_ns:
            self.first_ns = left_ns
        self.last_ns = max(self.last_ns, left_ns)
        self.sent += 1
        if keep:
            self._intended.append(intended_ns)
            self._left.append(left_ns)

    def intended(self) -> Int64s:
        return np.sort(np.array(self._intended, np.int64))

    def left(self) -> Int64s:
        return np.sort(np.array(self._left, np.int64))


def _gap_cv(instants: list[Int64s]) -> float | None:
    """Variation of the gaps between sorted instants, over all lists; None with fewer than two gaps."""
    gaps = np.concatenate([np.diff(one) for one in instants]) if instants else np.zeros(0)
    mean = float(gaps.mean()) if len(gaps) > 1 else 0.0
    return round(float(gaps.std()) / mean, 4) if mean else None


def _rate(n: int, first_ns: int, last_ns: int) -> float | None:
    return (n - 1) * NS_PER_S / (last_ns - first_ns) if n > 1 and last_ns > first_ns else None


def _mean(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return float(f"{sum(known) / len(known):.6g}") if known else None
