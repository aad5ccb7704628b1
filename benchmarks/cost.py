"""The claim: an event costs at most 1.6 times the CPU it costs a C program that only times and counts.

CPU time (user and system) of the whole process, as the slope between a short and a long run of the same
load: (CPU of the long - CPU of the short) / (events of the long - events of the short). What a run costs
before and after its load drops out of the slope and is given by itself, as the CPU of a run of one request.
loadgen and the reference client take turns; the ratio is the median over the rounds. Beside them the same of
bare_client.py, which says how much of the ratio is Python's: it has no bar.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bars import Bars, options, run_script
from pairing import read_truth
from reference import BenchmarkError, Cores, Load, Measured, run_bare, run_client, run_loadgen, two_cores

RATIO_BAR: Final = 1.6
FIXED_BAR_S: Final = 2.0
_LOAD: Final = Load(streams=900, requests=4000, ttft_ms=200, itl_ms=10, events=200)
_LENGTHS: Final = (1000, 4000)  # requests of the short and the long run
_QUICK_LOAD: Final = Load(streams=300, requests=1200, ttft_ms=200, itl_ms=10, events=100)
_QUICK_LENGTHS: Final = (400, 1200)
_TINY: Final = Load(streams=1, requests=1, ttft_ms=1, itl_ms=1, events=2, ramp_s=0)


def _events(run: Measured) -> int:
    """Count the events that the server wrote: the same count for both clients."""
    truth = read_truth(run.folder)
    if len(truth) != run.load.requests:
        raise BenchmarkError(f"{len(truth)} of {run.load.requests} requests were answered")
    return sum(len(answer.written_ns) for answer in truth.values())


def _us_per_event(short: Measured, long: Measured) -> float:
    return 1e6 * (long.ended.cpu_s - short.ended.cpu_s) / (_events(long) - _events(short))


def _round(load: Load, lengths: tuple[int, int], folder: Path, cores: Cores) -> tuple[float, float, float]:
    """Return microseconds of CPU per event: loadgen's, the reference client's, the bare client's."""
    ours, limit, bare = [], [], []
    for requests in lengths:
        part = replace(load, requests=requests)
        ours.append(run_loadgen(part, folder / f"loadgen-{requests}", cores))
        limit.append(run_client(part, folder / f"client-{requests}", cores))
        bare.append(run_bare(part, folder / f"bare-{requests}", cores))
    return _us_per_event(*ours), _us_per_event(*limit), _us_per_event(*bare)


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Take the rounds, then the fixed cost."""
    cores = two_cores()
    load, lengths, rounds = (_QUICK_LOAD, _QUICK_LENGTHS, 1) if quick else (_LOAD, _LENGTHS, 5)
    print(f"{load}; slope from {lengths[0]:,} to {lengths[1]:,} requests")
    ratios, bare_ratios = [], []
    for number in range(rounds):
        ours, limit, bare = _round(load, lengths, folder / f"round-{number}", cores)
        ratios.append(ours / limit)
        bare_ratios.append(bare / limit)
        print(
            f"  round {number + 1}: loadgen {ours:.2f} us an event ({1e6 / ours:,.0f} events a CPU second), "
            f"C client {limit:.2f} us ({1e6 / limit:,.0f}), ratio {ours / limit:.2f}; "
            f"bare client in Python {bare:.2f} us, ratio {bare / limit:.2f}"
        )
    print(f"  bare client in Python : C client, median: {median(bare_ratios):.3f}")
    bars.at_most("CPU per event, loadgen : C client, median", median(ratios), RATIO_BAR)
    tiny = [run_loadgen(_TINY, folder / f"tiny-{number}", cores).ended.cpu_s for number in range(3)]
    bars.at_most("CPU of a run of one request, median of 3", median(tiny), FIXED_BAR_S, "s")


if __name__ == "__main__":
    asked: argparse.Namespace = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
