"""The claim: memory follows the number of streams, not the length of the run.

Peak resident memory of the whole `loadgen run` process, as the kernel accounts for it (ru_maxrss): under
900 streams, and over a run of ten times as many requests against the same load.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bars import Bars, options, run_script
from reference import BenchmarkError, Load, run_loadgen, two_cores

PEAK_BAR_MB: Final = 200
GROWTH_BAR: Final = 1.15
_STREAMS: Final = Load(streams=900, requests=4000, ttft_ms=200, itl_ms=10, events=200)
_SHORT: Final = Load(streams=100, requests=400, ttft_ms=20, itl_ms=5, events=20)


def _peak_mb(load: Load, folder: Path) -> float:
    run = run_loadgen(load, folder, two_cores())
    answered = run.report()["targets"][0]["requests"]["ok"]
    if answered != load.requests:
        raise BenchmarkError(f"{answered} of {load.requests} requests succeeded")
    peak_mb = run.ended.peak_rss_bytes / 1e6
    print(f"{load}: {peak_mb:.1f} MB")
    return peak_mb


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Take the peak under many streams, then the growth over a long run."""
    streams = replace(_STREAMS, requests=1000) if quick else _STREAMS
    bars.at_most("peak memory at 900 streams", _peak_mb(streams, folder / "streams"), PEAK_BAR_MB, "MB")
    short = _peak_mb(_SHORT, folder / "short")
    long = _peak_mb(replace(_SHORT, requests=10 * _SHORT.requests), folder / "long")
    bars.at_most("peak memory, ten times the requests : once", long / short, GROWTH_BAR)


if __name__ == "__main__":
    asked: argparse.Namespace = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
