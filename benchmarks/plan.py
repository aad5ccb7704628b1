"""The claim: a plan of ten million arrivals is laid down in under 10 s and 500 MB.

For each law, and for stages of a rising and falling rate: time to build the plan from a loaded scenario, and
the peak resident memory of the whole process that did it, as the kernel accounts for it (ru_maxrss).
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Final

from bars import Bars, options, run_script
from reference import BenchmarkError, run_process, two_cores

TIME_BAR_S: Final = 10.0
PEAK_BAR_MB: Final = 500
_ARRIVALS: Final = 10_000_000
_HEAD: Final = """name = "plan"
[[targets]]
name = "t"
model = "m"
[workload]
salt = false
[load]
"""
_LOADS: Final = {
    "constant": 'rate = "5000/s"\narrivals = "constant"\nduration = "{s}s"',
    "poisson": 'rate = "5000/s"\narrivals = "poisson"\nduration = "{s}s"',
    "gamma": 'rate = "5000/s"\narrivals = "gamma"\nburstiness = 0.5\nduration = "{s}s"',
    "count": 'rate = "5000/s"\nrequests = {n}',
    "stages": 'stages = [{{ time = "{s}s", from = "0/s", to = "10000/s" }}]',
}
_PROGRAM: Final = """
import sys, time
from loadgen.plan.plan import build
from loadgen.scenario.load import load
from loadgen.workload.source import open_prompts
scenario = load(sys.argv[1])
prompts = open_prompts(scenario.workloads, scenario.seed)
begin = time.perf_counter()
plan = build(scenario, prompts)
print(time.perf_counter() - begin, len(plan.when_ns))
"""


def measure(folder: Path, bars: Bars, *, quick: bool) -> None:
    """Build a plan of each kind in a process of its own."""
    arrivals = _ARRIVALS // 10 if quick else _ARRIVALS
    for name, load in _LOADS.items():
        file = folder / f"{name}.toml"
        file.write_text(_HEAD + load.format(s=arrivals // 5000, n=arrivals))
        command = [sys.executable, "-c", _PROGRAM, str(file)]
        ended = run_process(command, folder=folder, core=two_cores().client, timeout_s=120)
        if ended.exit_code != 0:
            raise BenchmarkError(f"{name} ended with {ended.exit_code}: {ended.stderr[-2000:]}")
        seconds, count = map(float, ended.stdout.split())
        if abs(count / arrivals - 1) > 0.01:
            raise BenchmarkError(f"{name} has {count:,.0f} arrivals instead of {arrivals:,}")
        print(f"{name}: {count:,.0f} arrivals")
        bars.at_most("time to build", seconds, TIME_BAR_S, "s")
        bars.at_most("peak memory", ended.peak_rss_bytes / 1e6, PEAK_BAR_MB, "MB")


if __name__ == "__main__":
    asked: argparse.Namespace = options(__doc__ or "").parse_args()
    run_script(partial(measure, quick=asked.quick))
