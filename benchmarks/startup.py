"""The claim: it is small and there at once.

CPU of `loadgen --help`; time from the start of `loadgen run` to its first request at the server; size of an
environment with nothing but loadgen in it (`--venv PATH`: make one, install loadgen, give its folder); number
of packages it can't do without, from the metadata of the installed package.
"""

import argparse
import importlib.metadata
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bars import Bars, options, run_script
from pairing import read_truth
from reference import BenchmarkError, Load, run_loadgen, run_process, two_cores

HELP_BAR_S: Final = 0.2
FIRST_REQUEST_BAR_S: Final = 1.0
SIZE_BAR_MB: Final = 240
REQUIREMENTS_BAR: Final = 12
_ONE: Final = Load(streams=1, requests=1, ttft_ms=1, itl_ms=1, events=2, ramp_s=0)


def _help_cpu_s(folder: Path) -> float:
    command = [sys.executable, "-m", "loadgen", "--help"]
    ended = run_process(command, folder=folder, core=two_cores().client, timeout_s=30)
    if ended.exit_code != 0:
        raise BenchmarkError(f"loadgen --help ended with {ended.exit_code}: {ended.stderr[-2000:]}")
    return ended.cpu_s


def _first_request_s(folder: Path) -> float:
    run = run_loadgen(_ONE, folder, two_cores())
    received_ns = [answer.received_ns for answer in read_truth(run.folder).values()]
    if not received_ns:
        raise BenchmarkError("the one request was not answered")
    return (min(received_ns) - run.ended.started_ns) / 1e9


def _size_mb(venv: Path) -> float:
    """Sum the sizes of all files, each once however many names it has; links are not followed."""
    sizes = {}
    for path in venv.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found = path.stat()
            sizes[found.st_dev, found.st_ino] = found.st_size
    if not sizes:
        raise BenchmarkError(f"{venv} holds no files")
    return sum(sizes.values()) / 1e6


def _hard_requirements() -> list[str]:
    try:
        requirements = importlib.metadata.requires("loadgen")
    except importlib.metadata.PackageNotFoundError:
        raise BenchmarkError("loadgen is not installed, so it has no metadata to read") from None
    return [r for r in requirements or [] if "extra ==" not in r]


def measure(folder: Path, bars: Bars, *, quick: bool, venv: Path | None) -> None:
    """Take every figure; the first run of each kind only warms the file caches."""
    rounds = 2 if quick else 6
    helps = [_help_cpu_s(folder) for _ in range(rounds)][1:]
    bars.at_most(f"CPU of loadgen --help, median of {len(helps)}", median(helps), HELP_BAR_S, "s")
    firsts = [_first_request_s(folder / f"run-{number}") for number in range(rounds)][1:]
    what = f"start of loadgen run to its first request, median of {len(firsts)}"
    bars.at_most(what, median(firsts), FIRST_REQUEST_BAR_S, "s")
    bars.at_most("hard requirements", len(_hard_requirements()), REQUIREMENTS_BAR)
    if venv is None:
        print("  not measured: the installed size (give --venv PATH)")
    else:
        bars.at_most("installed size of the environment", _size_mb(venv), SIZE_BAR_MB, "MB")


if __name__ == "__main__":
    parser = options(__doc__ or "")
    parser.add_argument("--venv", type=Path, help="a fresh environment with nothing but loadgen in it")
    asked: argparse.Namespace = parser.parse_args()
    run_script(partial(measure, quick=asked.quick, venv=asked.venv))
