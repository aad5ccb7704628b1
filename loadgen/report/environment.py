"""What a run was made with, as text: the run itself, the machine, and how the instrument fared."""

from typing import Any

from loadgen.report.figures import NOTHING
from loadgen.results.model import Dist, Instrument, Report
from loadgen.units import format_number


def environment(report: Report) -> dict[str, Any]:
    """Facts about the run and the machine, and the labels of the scenario, by name."""
    run = report.run
    return {
        "loadgen": report.loadgen,
        "digest of the plan": run.digest,
        "wall time": f"{format_number(run.wall_s)} s",
        "workers": run.workers,
        **run.host,
        **run.labels,
    }


def instrument(fared: Instrument) -> dict[str, Any]:
    """How late and how busy the generator was, by name."""
    share, top = fared.cpu_share, fared.cpu_share_max
    pause, memory = fared.gc_pause_ms_max, fared.rss_mb_max
    return {
        "event loop late": _lag(fared.loop_lag_ms),
        "requests sent late": _lag(fared.send_lag_ms),
        "CPU": NOTHING if share is None else f"{share:.0%} of a core",
        "CPU, worst second": NOTHING if top is None else f"{top:.0%} of a core",
        "garbage collections": fared.gc_collections,
        "longest pause": NOTHING if pause is None else f"{format_number(pause)} ms",
        "connections at once": NOTHING if fared.connections_max is None else fared.connections_max,
        "memory": NOTHING if memory is None else f"{format_number(memory)} MB",
    }


def _lag(dist: Dist) -> str:
    if dist.p50 is None or dist.p99 is None or dist.max is None:
        return NOTHING
    p50, p99, top = (format_number(v) for v in (dist.p50, dist.p99, dist.max))
    return f"p50 {p50} ms, p99 {p99} ms, at most {top} ms"
