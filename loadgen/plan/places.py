"""Closed loop: when each place of each target begins and ends, level by level."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
FOREVER: Final = 2**62


class Starts(NamedTuple):
    """The intervals in which places are there, by their beginning: ns from the epoch, shape (starts,).

    until_ns: from then on the place begins no session (FOREVER: to the end of the window).
    """

    when_ns: Int64s
    until_ns: Int64s
    place: Int64s
    target: Int64s


def lay_out(levels: Sequence[int], starts_ns: Sequence[int], ramp_ns: int, targets: int) -> Starts:
    """Lay out places so that level k, from starts_ns[k] on, has levels[k] of them for each target.

    Place p is there while the level is above p: from 8 to 16 adds places 8 to 15, from 16 to 8 ends them.
    What a level adds is spread evenly over `ramp_ns` from its start.
    """
    pieces, before = [], 0
    for k, (level, start_ns) in enumerate(zip(levels, starts_ns, strict=True)):
        place = np.arange(before, max(before, level), dtype=np.int64)
        when = start_ns + np.arange(len(place), dtype=np.int64) * ramp_ns // max(1, len(place))
        until = np.full(len(place), FOREVER, dtype=np.int64)
        for later in range(len(levels) - 1, k, -1):
            until[place >= levels[later]] = starts_ns[later]
        pieces.append(np.stack([when, until, place])[:, when < until])
        before = level
    when, until, place = np.concatenate(pieces, axis=1)
    order = np.argsort(when, kind="stable")  # a ramp may be longer than its level
    when, until, place = (np.repeat(a[order], targets) for a in (when, until, place))
    turn = np.tile(np.arange(targets, dtype=np.int64), len(order))
    return Starts(when, until, place, (turn + place) % targets)
