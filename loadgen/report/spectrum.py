"""The percentiles of a metric as a line of block characters a target."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

from loadgen.report.figures import clean, headline
from loadgen.results.model import Dist, TargetReport
from loadgen.units import format_number

_PERCENTILES: Final = ("p1", "p5", "p10", "p50", "p75", "p90", "p95", "p99", "p999")
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 4  # characters a percentile
_NAME: Final = 40
_MOST: Final = 4


def spectrum(targets: Sequence[TargetReport]) -> Iterator[str]:
    """Yield lines: p1 to p99.9 of TTFT (of whole answers: end to end) of each target, all on one scale."""
    key = headline(targets)
    name = "TTFT" if key == "ttft_ms" else "e2e"
    known = [(clean(t.name), t.metrics[key]) for t in targets if t.metrics[key].count]
    width = max((cell_len(who) for who, _ in known), default=0)
    if not known or len(known) > _MOST or width > _NAME:
        return
    top = max(_values(found)[-1] for _, found in known) or 1.0
    heads = "".join(f"{p.replace('999', '99.9'):<{_WIDTH}}" for p in _PERCENTILES)
    yield f"{name} by percentile; a full block is {format_number(top)} ms"
    yield f"{'':{width}}  {heads}"
    for who, found in known:
        blocks = (_BLOCKS[min(7, int(8 * value / top))] * (_WIDTH - 1) for value in _values(found))
        yield f"{who}{' ' * (width - cell_len(who))}  {' '.join(blocks)}"


def _values(found: Dist) -> list[float]:
    return [getattr(found, p) or 0.0 for p in _PERCENTILES]
