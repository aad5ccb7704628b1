"""What a benchmark prints around its figures: the conditions they hold under, and its bars, met or missed."""

import argparse
import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reference import BenchmarkError, build, two_cores

_PACKAGES: Final = ("loadgen", "uvloop", "httptools", "numpy", "orjson", "msgspec", "hdrhistogram")


@dataclass(slots=True)
class Bars:
    """The bars of one script; `missed` of them were."""

    missed: int = 0

    def at_most(self, what: str, figure: float, bar: float, unit: str = "") -> None:
        """Print a figure beside its bar; a figure that is not a number misses it."""
        met = figure <= bar
        self.missed += not met
        print(f"  {'met   ' if met else 'MISSED'} {what}: {figure:.4g} {unit} (bar: at most {bar:g} {unit})")

    def none_of(self, what: str, count: int) -> None:
        """Print nothing when there are none of them; else a missed bar."""
        if count:
            self.at_most(what, count, 0)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)


def print_conditions() -> None:
    """Print the machine, its load, the cores used, the versions and the date."""
    cores = two_cores()
    compiler = subprocess.run(["cc", "--version"], capture_output=True, text=True, timeout=10, check=True)
    now = dt.datetime.now(tz=dt.UTC)
    print(f"date      {now:%Y-%m-%d %H:%M} UTC")
    print(f"machine   {_cpu_model()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(f"pinned    server to core {cores.server}, client to core {cores.client}")
    if cores.shared:
        print("          ONE CORE FOR BOTH: these figures say little about either side")
    if os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        print("priority  real time: nothing else of the machine takes a core while server or client needs it")
    print(f"versions  Python {platform.python_version()}, {_versions()}, {compiler.stdout.splitlines()[0]}")
    print(f"load      {os.getloadavg()[0]:.2f} over the last minute, before the start\n")


def options(doc: str) -> argparse.ArgumentParser:
    """Return the command line every script has: `--quick`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a short look: less load, fewer rounds")
    return parser


def run_script(measure: Callable[[Path, Bars], None]) -> None:
    """Build, print the conditions, measure in a temporary folder and exit: 1 when a bar was missed."""
    bars = Bars()
    try:
        build()
        print_conditions()
        with tempfile.TemporaryDirectory(prefix="loadgen-benchmark-") as folder:
            measure(Path(folder), bars)
    except BenchmarkError as error:
        print(f"could not measure: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"\n{bars.missed} missed" if bars.missed else "\nall bars met")
    sys.exit(1 if bars.missed else 0)
