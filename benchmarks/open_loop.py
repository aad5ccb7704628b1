"""The claim: an open loop of 2,000 requests/s on one core delivers the arrivals that the plan laid down.

No request before its time; send_lag at most 0.3 ms at p99; the rate achieved within 0.5 % of the planned. The
instants are those of samples.jsonl; beside them stands what the reference server saw: when each request had
really reached it after the instant intended for it.
"""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from bars import Bars, options, run_script
from pairing import read_truth
from reference import Measured, OpenLoad, run_loadgen, two_cores

LAG_P99_BAR_MS: Final = 0.3
RATE_BAR: Final = 0.005
_ROUNDS: Final = 3


def _samples(run: Measured) -> tuple[int, list[dict[str, Any]]]:
    epoch_ns: int = run.report()["run"]["epoch_ns"]
    with (run.run_folder / "samples.jsonl").open() as lines:
        rows = [json.loads(line) for line in lines]
    return epoch_ns, sorted((row for row in rows if row["turn"] == 0), key=lambda row: row["intended_ns"])


def _round(load: OpenLoad, folder: Path, bars: Bars) -> tuple[float, float]:
    """Run once; return send_lag at p99 (ms) and how far the achieved rate is off (share)."""
    run = run_loadgen(load, folder, two_cores())
    epoch_ns, rows = _samples(run)
    truth = read_truth(run.folder)
    rows = [row for row in rows if row["phase"] == "measure"]
    bars.none_of("requests that failed", sum(row["outcome"] != "ok" for row in rows))
    intended = np.array([row["intended_ns"] for row in rows])
    left = np.array([row["connect_start_ns"] or row["sent_ns"] for row in rows])
    sent = np.array([row["sent_ns"] for row in rows])
    bars.none_of("requests before their time", int((left < intended).sum()))
    lag = (left - intended) / 1e6
    good = [row for row in rows if row["outcome"] == "ok"]
    there = (
        np.array([truth[row["response_id"]].received_ns - epoch_ns - row["intended_ns"] for row in good])
        / 1e6
    )
    planned_s, sent_s = (float(x[-1] - x[0]) / 1e9 for x in (intended, sent))
    off = abs(planned_s / sent_s - 1)
    gaps = np.abs(np.diff(np.sort(sent)) - np.diff(intended)) / 1e6
    print(
        f"  {len(rows):,} arrivals, p50/p99 in ms: send_lag {_two(lag)} (max {lag.max():.2f}); "
        f"at the server after {_two(there)}; delivered gaps off by {_two(gaps)}; gap cv planned "
        f"{_cv(intended):.3f}, delivered {_cv(np.sort(sent)):.3f}; rate off by {100 * off:.3f} %; "
        f"CPU {100 * run.ended.cpu_s / run.ended.wall_s:.0f} %; server waited {run.server_waited_ms:.0f} ms"
    )
    return float(np.percentile(lag, 99)), off


def _two(values: Any) -> str:
    return f"{np.percentile(values, 50):.3f}/{np.percentile(values, 99):.3f}"


def _cv(instants: "np.typing.NDArray[np.int64]") -> float:
    gaps = np.diff(instants)
    return float(gaps.std() / gaps.mean())


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Take the rounds, then judge their medians."""
    load = OpenLoad(
        rate_per_s=500 if quick else 2000, duration_s=5 if quick else 15, ttft_ms=50, itl_ms=10, events=10
    )
    print(load)
    found = [_round(load, folder / f"round-{number}", bars) for number in range(1 if quick else _ROUNDS)]
    lags, rates = zip(*found, strict=True)
    bars.at_most("send_lag at p99, median", float(np.median(lags)), LAG_P99_BAR_MS, "ms")
    bars.at_most("achieved rate off the planned, median", float(np.median(rates)), RATE_BAR)


if __name__ == "__main__":
    asked: argparse.Namespace = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
