"""A plan's schedule as a few lines of block characters: arrivals or places over time."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadgen.plan.plan import Plan, planned_counts
from loadgen.units import NS_PER_S, format_number

_WIDTH: Final = 64
_HEIGHT: Final = 5
_MARGIN: Final = 12
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_WARMUP: Final = "·"
_WINDOW: Final = "━"


def chart(plan: Plan) -> list[str]:
    """Draw the schedule of one target; nothing where the plan does not know how long it takes."""
    end = _end(plan)
    if end is None or end < _WIDTH:
        return []
    edges = np.linspace(0, end, _WIDTH + 1).astype(np.int64)
    if plan.open_loop:
        values, unit = planned_counts(plan, edges) / (np.diff(edges) / NS_PER_S), "/s"
    else:
        values, unit = _places(plan, (edges[:-1] + edges[1:]) // 2), ""
    return [*_blocks(values, unit), *_axis(plan, edges, end)]


def _end(plan: Plan) -> int | None:
    end = plan.levels[-1].window_ns[1]
    if end is None and plan.open_loop and len(plan.when_ns):
        return int(plan.when_ns[-1]) + 1
    return end


def _places(plan: Plan, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Count the places that are there at each instant, of one target."""
    if plan.mode == "one_at_a_time":
        return np.ones(len(at_ns))
    begun = np.searchsorted(plan.when_ns, at_ns, side="right")
    ended = np.searchsorted(np.sort(plan.until_ns), at_ns, side="right")
    there: NDArray[np.float64] = (begun - ended) / plan.targets
    return there


def _blocks(values: NDArray[np.float64], unit: str) -> Iterator[str]:
    top = float(values.max())
    steps = np.rint(values / (top or 1.0) * _HEIGHT * 8).astype(np.int64)
    steps = np.where(values > 0, np.maximum(steps, 1), 0)  # little is not nothing
    for row in range(_HEIGHT - 1, -1, -1):
        label = f"{format_number(top)}{unit}" if row == _HEIGHT - 1 else "0" if row == 0 else ""
        yield f"{label:>{_MARGIN}} " + "".join(_BLOCKS[n] for n in np.clip(steps - row * 8, 0, 8)).rstrip()


def _axis(plan: Plan, edges: NDArray[np.int64], end_ns: int) -> Iterator[str]:
    middles = ((edges[:-1] + edges[1:]) // 2).tolist()
    marks = "".join(
        _WINDOW if (where := plan.phase(t)) is not None and where[1] == "measure" else _WARMUP
        for t in middles
    )
    column = f"  columns of {format_number(end_ns / _WIDTH / NS_PER_S)} s" if plan.open_loop else ""
    left, right = "0 s", f"{format_number(end_ns / NS_PER_S)} s"
    legend = f"{_WINDOW} window" + (f"  {_WARMUP} warm-up" if _WARMUP in marks else "") + column
    yield f"{'':>{_MARGIN}} {marks}"
    yield f"{'':>{_MARGIN}} {left}{legend:^{_WIDTH - len(left) - len(right)}}{right}"
