"""The claim: every TTFT is measured to within a fraction of a millisecond of the truth.

The reference server logs when it had read each request and when it wrote each event. Against it run, one
after the other, `loadgen run` and the reference client (the limit of one core). Per request:

  ttft          |measured - true|
  sent half     received by the server - stamped as sent: the client stamped before the bytes left, or the
                server was slow to read
  receive half  stamped as first token - written by the server: the client stamped late
  mean gap      |measured - true| of (last token - first token) / (events - 1)
  longest gap   |measured - true| of the longest time between two events

samples.jsonl does not hold every event's instant, so all gaps are compared as distributions: the report's
chunk_gap_ms percentile by percentile against the gaps between the server's writes.
"""

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from bars import Bars, options, run_script
from pairing import QUANTITIES, Comparison, pair, percentile, read_client_log, read_samples, read_truth
from reference import Cores, Load, Measured, run_client, run_loadgen, two_cores

_400: Final = Load(streams=400, requests=2000, ttft_ms=200, itl_ms=20, events=100)
_900: Final = Load(streams=900, requests=4000, ttft_ms=200, itl_ms=10, events=200)
_QUICK: Final = Load(streams=400, requests=800, ttft_ms=200, itl_ms=20, events=30)
BARS_MS: Final = {_400: (0.1, 1.0), _900: (0.2, 2.0), _QUICK: (0.1, 1.0)}  # ttft p50, p99; with a ramp

_GAP_PERCENTILES: Final = (1, 10, 50, 90, 99, 99.9)


def _print_side(name: str, comparison: Comparison, took: Measured) -> None:
    cells = []
    for quantity in QUANTITIES:
        errors = np.abs(comparison.errors_ms[quantity])
        cells.append(f"{percentile(errors, 50):8.3f} {percentile(errors, 99):8.3f}")
    ended = took.ended
    print(f"  {name:10}" + " ".join(cells) + f" {100 * ended.cpu_s / ended.wall_s:5.0f} %")


def _print_gaps(comparison: Comparison, run: Measured) -> None:
    reported = run.report()["targets"][0]["metrics"]["chunk_gap_ms"]
    print("  all gaps, ms   " + "".join(f"{f'p{p:g}':>9}" for p in _GAP_PERCENTILES))
    print(
        "    true         "
        + "".join(f"{percentile(comparison.true_gaps_ms, p):9.3f}" for p in _GAP_PERCENTILES)
    )
    print("    reported     " + "".join(f"{reported[f'p{p:g}']:9.3f}" for p in _GAP_PERCENTILES))


def _check_complete(bars: Bars, name: str, comparison: Comparison, load: Load) -> None:
    bars.none_of(f"{name}: requests not answered, or not paired", load.requests - comparison.requests)
    bars.none_of(f"{name}: successes that only one side knows of", comparison.unpaired)
    bars.none_of(f"{name}: messages that arrived before they left", comparison.impossible)


def _case(load: Load, limits: tuple[float, float] | None, folder: Path, cores: Cores, bars: Bars) -> None:
    print(load)
    client = run_client(load, folder / "client", cores)
    limit = pair(read_client_log(client.folder / "client.log"), read_truth(client.folder))
    run = run_loadgen(load, folder / "loadgen", cores)
    ours = pair(read_samples(run.run_folder), read_truth(run.folder))
    print("  p50, p99 ms" + " ".join(f"{quantity:>17}" for quantity in QUANTITIES) + "     CPU")
    _print_side("loadgen", ours, run)
    _print_side("C client", limit, client)
    for percent in (50, 99):
        errors = [percentile(np.abs(side.errors_ms["ttft"]), percent) for side in (ours, limit)]
        print(f"  ttft error at p{percent}, loadgen : C client = {errors[0] / errors[1]:.2f}")
        if limits is not None:
            bars.at_most(f"ttft error at p{percent}", errors[0], limits[percent == 99], "ms")
    _print_gaps(ours, run)
    report = run.report()
    reasons = "; ".join(str(reason) for reason in report["verdict"]["reasons"])
    print(f"  loadgen's own verdict: {report['verdict']['state']}{': ' if reasons else ''}{reasons}")
    for name, side in (("loadgen", ours), ("C client", limit)):
        _check_complete(bars, name, side, load)
    print()


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Take every case, spread out (with its bars) and as a burst (without)."""
    cores = two_cores()
    for load in [_QUICK] if quick else [_400, _900]:
        for ramp_s in (2, 0):
            limits = BARS_MS[load] if ramp_s else None
            case = dataclasses.replace(load, ramp_s=ramp_s)
            _case(case, limits, folder / f"{load.streams}-{ramp_s}", cores, bars)


if __name__ == "__main__":
    asked: argparse.Namespace = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
