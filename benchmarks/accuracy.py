"""The claim: every TTFT is measured to within a fraction of a millisecond of the truth.

The reference server logs when it had read each request and when it wrote each event. Against it run, one
after the other, `loadgen run` and the reference client (the limit of one core). Per request:

  ttft          |measured - true|
  sent half     received by the server - stamped as sent: the client stamped before the bytes left, or the
                server was slow to read
  receive half  stamped as first token - written by the server: the client stamped late
  mean gap      |measured - true| of (last token - first token) / (events - 1)
  longest gap   |measured - true| of the longest time between two events

Both take turns for three rounds, and the medians of the rounds stand against the bars. How long server
and client could have run while another process had their core (waited) tells a figure about the machine
from one about loadgen.

samples.jsonl does not hold every event's instant, so all gaps are compared as distributions: the report's
chunk_gap_ms percentile by percentile against the gaps between the server's writes.
"""

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from bars import Bars, options, run_script
from pairing import QUANTITIES, Comparison, pair, percentile, read_client_log, read_samples, read_truth
from reference import Cores, Load, Measured, run_client, run_loadgen, two_cores

_400: Final = Load(streams=400, requests=2000, ttft_ms=200, itl_ms=20, events=100)
_900: Final = Load(streams=900, requests=4000, ttft_ms=200, itl_ms=10, events=200)
_QUICK: Final = Load(streams=400, requests=800, ttft_ms=200, itl_ms=20, events=30)
BARS_MS: Final = {_400: (0.1, 1.0), _900: (0.2, 2.0), _QUICK: (0.1, 1.0)}  # ttft p50, p99; with a ramp
ROUNDS: Final = 3

_GAP_PERCENTILES: Final = (1, 10, 50, 90, 99, 99.9)


def _print_side(name: str, comparison: Comparison, took: Measured) -> None:
    cells = []
    for quantity in QUANTITIES:
        errors = np.abs(comparison.errors_ms[quantity])
        cells.append(f"{percentile(errors, 50):8.3f} {percentile(errors, 99):8.3f}")
    ended = took.ended
    share = f"{100 * ended.cpu_s / ended.wall_s:5.0f} %"
    print(f"  {name:9}" + " ".join(cells) + f"{share}{took.server_waited_ms:12.0f}{ended.waited_ms:8.0f}")


def _print_gaps(comparison: Comparison, report: Any) -> None:
    reported = report["targets"][0]["metrics"]["chunk_gap_ms"]
    true = [percentile(comparison.true_gaps_ms, p) for p in _GAP_PERCENTILES]
    print("  all gaps, ms" + "".join(f"{f'p{p:g}':>9}" for p in _GAP_PERCENTILES))
    print("    true      " + "".join(f"{gap:9.3f}" for gap in true))
    print("    reported  " + "".join(f"{reported[f'p{p:g}']:9.3f}" for p in _GAP_PERCENTILES))


def _check_complete(bars: Bars, name: str, comparison: Comparison, load: Load) -> None:
    bars.none_of(f"{name}: requests not answered, or not paired", load.requests - comparison.requests)
    bars.none_of(f"{name}: successes that only one side knows of", comparison.unpaired)
    bars.none_of(f"{name}: messages that arrived before they left", comparison.impossible)


def _round(load: Load, folder: Path, cores: Cores, bars: Bars) -> dict[str, Comparison]:
    """Measure with both clients, print what each took, and return both comparisons."""
    client = run_client(load, folder / "client", cores)
    run = run_loadgen(load, folder / "loadgen", cores)
    sides = {
        "loadgen": pair(read_samples(run.run_folder), read_truth(run.folder)),
        "C client": pair(read_client_log(client.folder / "client.log"), read_truth(client.folder)),
    }
    for (name, side), took in zip(sides.items(), (run, client), strict=True):
        _print_side(name, side, took)
        _check_complete(bars, name, side, load)
    report = run.report()
    _print_gaps(sides["loadgen"], report)
    reasons = "; ".join(str(reason) for reason in report["verdict"]["reasons"])
    print(f"  loadgen's own verdict: {report['verdict']['state']}{': ' if reasons else ''}{reasons}")
    return sides


def _case(load: Load, limits: tuple[float, float] | None, folder: Path, bars: Bars, *, rounds: int) -> None:
    print(load)
    print("  p50, p99 ms" + " ".join(f"{quantity:>17}" for quantity in QUANTITIES), end="")
    print("    CPU   waited, ms: server, client")
    taken = [_round(load, folder / f"{number}", two_cores(), bars) for number in range(rounds)]
    for place, percent in enumerate((50, 99)):
        ours, limit = (
            median(percentile(np.abs(sides[name].errors_ms["ttft"]), percent) for sides in taken)
            for name in ("loadgen", "C client")
        )
        what = f"ttft error at p{percent}, median of {rounds}"
        print(f"  {what}: loadgen {ours:.3f} ms, C client {limit:.3f} ms, ratio {ours / limit:.2f}")
        if limits is not None:
            bars.at_most(what, ours, limits[place], "ms")
    print()


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Take every case, spread out (with its bars) and as a burst (without)."""
    for load in [_QUICK] if quick else [_400, _900]:
        for ramp_s in (2, 0):
            case, here = dataclasses.replace(load, ramp_s=ramp_s), folder / f"{load.streams}-{ramp_s}"
            _case(case, BARS_MS[load] if ramp_s else None, here, bars, rounds=1 if quick else ROUNDS)


if __name__ == "__main__":
    asked: argparse.Namespace = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
