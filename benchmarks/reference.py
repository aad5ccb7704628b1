"""The processes of a benchmark, each on its core: the reference server, its client, `loadgen run` as a whole.

Linux only (epoll, wait4, CPU affinity). Everything listens on and connects to 127.0.0.1.
Imports no numpy: a child's peak memory counts what its parent held when it was started.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
BIN: Final = HERE / "bin"
_WARNINGS: Final = ("-O2", "-Wall", "-Wextra", "-Werror")


class BenchmarkError(Exception):
    """The benchmark could not be taken; the text says why. A missed bar is none."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The two cores of a benchmark, by number; equal where the machine has only one to give."""

    server: int
    client: int

    @property
    def shared(self) -> bool:
        """True when server and client share a core: then the figures say little about either."""
        return self.server == self.client


def two_cores() -> Cores:
    """Return the first core this process may use, and the next that is not its hyper-thread sibling."""
    allowed = sorted(os.sched_getaffinity(0))
    first = allowed[0]
    siblings_file = Path(f"/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list")
    siblings = _core_list(siblings_file.read_text()) if siblings_file.exists() else {first}
    others = [core for core in allowed if core not in siblings] or [c for c in allowed if c != first]
    return Cores(first, others[0] if others else first)


def _core_list(text: str) -> set[int]:
    """Read the kernel's `0-2,7` notation."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        low, _, high = part.partition("-")
        cores.update(range(int(low), int(high or low) + 1))
    return cores


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Start the processes of the block on one core: a child inherits the affinity of this thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def build() -> None:
    """Compile the two C programs into bin/, when missing or older than their sources.

    Raises:
        BenchmarkError: not Linux, no C compiler, or it found fault with the sources.
    """
    if sys.platform != "linux":
        raise BenchmarkError("the reference programs need Linux (epoll)")
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("no C compiler: install one that answers to `cc`")
    BIN.mkdir(exist_ok=True)
    newest = max(path.stat().st_mtime_ns for path in HERE.glob("*.[ch]"))
    for name in ("reference_server", "reference_client"):
        program = BIN / name
        if program.exists() and program.stat().st_mtime_ns > newest:
            continue
        command = [compiler, *_WARNINGS, "-o", str(program), str(HERE / f"{name}.c")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise BenchmarkError(f"{name}.c does not compile:\n{done.stderr}")


@dataclass(frozen=True, slots=True)
class Ended:
    """An ended process and what it took. cpu_s: user and system, with the children it waited for."""

    exit_code: int
    started_ns: int  # CLOCK_MONOTONIC, before the process was created
    wall_s: float
    cpu_s: float
    waited_ms: float  # how long its main thread could have run but another had the core; nan: unknown
    peak_rss_bytes: int
    stdout: str
    stderr: str


def _waited_ms(pid: int) -> float:
    """Read how long the main thread of a process has waited for a core (proc(5), schedstat)."""
    path = Path(f"/proc/{pid}/schedstat")
    return int(path.read_text().split()[1]) / 1e6 if path.exists() else float("nan")


def run_process(
    command: Sequence[str], *, folder: Path, core: int, timeout_s: float, env: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end on one core, from the repository's root, and account for it with wait4.

    Its output goes through files in `folder`, so that a full pipe never stops it.

    Raises:
        BenchmarkError: it had not ended after timeout_s (it is killed then).
    """
    out_path, err_path = folder / "stdout", folder / "stderr"
    with out_path.open("wb") as out, err_path.open("wb") as err, pinned(core):
        started_ns = time.monotonic_ns()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=HERE.parent, env=env)
    too_late = threading.Event()

    def give_up() -> None:
        too_late.set()
        process.kill()

    # a blocking wait with a timer beside it: polling would itself take the cores' time
    timer = threading.Timer(timeout_s, give_up)
    timer.start()
    try:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        waited_ms = _waited_ms(process.pid)  # still readable: it has ended, but was not reaped
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()
    wall_s = (time.monotonic_ns() - started_ns) / 1e9
    process.returncode = os.waitstatus_to_exitcode(status)
    if too_late.is_set():
        raise BenchmarkError(f"{' '.join(command[:4])} ... had not ended after {timeout_s:.0f} s")
    return Ended(
        exit_code=process.returncode,
        started_ns=started_ns,
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        waited_ms=waited_ms,
        peak_rss_bytes=usage.ru_maxrss * 1024,
        stdout=out_path.read_text(errors="replace"),
        stderr=err_path.read_text(errors="replace"),
    )


@dataclass(slots=True)
class Server:
    """A running reference server; waited_ms (as of `Ended`) is known after its block."""

    port: int
    waited_ms: float = float("nan")


@contextmanager
def reference_server(folder: Path, core: int) -> Iterator[Server]:
    """Run the reference server on one core.

    Its logs are `folder`/server.log and server.events, complete after the block.

    Raises:
        BenchmarkError: it did not start, or did not end well.
    """
    command = [str(BIN / "reference_server"), "-l", str(folder / "server")]
    with pinned(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            greeting = process.stdout.readline() if process.stdout else ""
            if not greeting.startswith("listening on 127.0.0.1:"):
                raise BenchmarkError(
                    f"the reference server did not start: {process.communicate(timeout=10)[1]}"
                )
            server = Server(int(greeting.rpartition(":")[2]))
            yield server
            server.waited_ms = _waited_ms(process.pid)
            process.terminate()
            _, problem = process.communicate(timeout=60)
            if process.returncode != 0:
                raise BenchmarkError(f"the reference server ended with {process.returncode}: {problem}")
        finally:
            process.kill()  # does nothing once it has ended


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop of `streams` against the reference server; every answer is `events` long."""

    streams: int
    requests: int
    ttft_ms: int
    itl_ms: int
    events: int
    ramp_s: int = 2

    @property
    def model(self) -> str:
        """The behaviour, as the reference server reads it out of the model's name."""
        return f"ttft={self.ttft_ms},itl={self.itl_ms},n={self.events}"

    @property
    def timeout_s(self) -> float:
        """Four times what it takes when everything is on time, and a minute."""
        rounds = -(-self.requests // self.streams)
        return 60 + 4 * (self.ramp_s + rounds * (self.ttft_ms + self.itl_ms * self.events) / 1000)

    def __str__(self) -> str:
        return f"{self.streams} streams, {self.model}, {self.requests:,} requests, ramp {self.ramp_s} s"

    def scenario(self, port: int) -> str:
        """Write the scenario of this load, as TOML."""
        return f"""\
name = "reference"

[[targets]]
name = "reference"
model = "{self.model}"
base_url = "http://127.0.0.1:{port}/v1"

[workload]
source = "code"
prompt_tokens = 200

[load]
concurrency = {self.streams}
requests = {self.requests}
ramp = "{self.ramp_s}s"
grace = "60s"
"""


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """Poisson arrivals at `rate_per_s` for `duration_s`, after a warm-up; every answer is `events` long."""

    rate_per_s: int
    duration_s: int
    ttft_ms: int
    itl_ms: int
    events: int
    arrivals: str = "poisson"
    warmup_s: int = 2

    @property
    def timeout_s(self) -> float:
        """Twice what it should take, and a minute."""
        return 60.0 + 2 * (self.warmup_s + self.duration_s)

    def __str__(self) -> str:
        model = f"ttft={self.ttft_ms},itl={self.itl_ms},n={self.events}"
        return f"{self.rate_per_s:,} requests/s ({self.arrivals}), {model}, {self.duration_s} s"

    def scenario(self, port: int) -> str:
        """Write the scenario of this load, as TOML."""
        return f"""\
name = "reference"

[[targets]]
name = "reference"
model = "ttft={self.ttft_ms},itl={self.itl_ms},n={self.events}"
base_url = "http://127.0.0.1:{port}/v1"

[workload]
source = "code"
prompt_tokens = 200
chars_per_token = 4.3

[load]
rate = "{self.rate_per_s}/s"
arrivals = "{self.arrivals}"
warmup = "{self.warmup_s}s"
duration = "{self.duration_s}s"
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """A load that was run: what the process took, and the folder with everyone's logs.

    loadgen's run folder is run/reference/latest in it, the reference client's log client.log, the
    server's server.log and server.events.
    """

    load: Load | OpenLoad
    ended: Ended
    server_waited_ms: float
    folder: Path

    @property
    def run_folder(self) -> Path:
        """Where loadgen wrote its results."""
        return self.folder / "run" / "reference" / "latest"

    def report(self) -> Any:
        """Read loadgen's report.json."""
        return json.loads((self.run_folder / "report.json").read_bytes())


def run_loadgen(load: Load | OpenLoad, folder: Path, cores: Cores) -> Measured:
    """Run `loadgen run` as a whole process against a reference server of its own, in a new `folder`.

    Raises:
        BenchmarkError: it could not run (an invalid or suspect run is a result, not an error).
    """
    folder.mkdir(parents=True)
    scenario = folder / "reference.toml"
    # keys and URLs that stand in the environment for other purposes have no business here
    env = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    command = [sys.executable, "-m", "loadgen", "run", str(scenario), "--out", str(folder / "run")]
    with reference_server(folder, cores.server) as server:
        scenario.write_text(load.scenario(server.port))
        ended = run_process(
            [*command, "--quiet", "--no-probe"],
            folder=folder,
            core=cores.client,
            timeout_s=load.timeout_s,
            env=env,
        )
    if ended.exit_code not in {0, 4}:  # 4: invalid as a measurement
        raise BenchmarkError(f"loadgen run ended with {ended.exit_code}: {ended.stderr[-2000:]}")
    return Measured(load, ended, server.waited_ms, folder)


def run_client(load: Load, folder: Path, cores: Cores) -> Measured:
    """Run the reference client against a reference server of its own, in a new `folder`.

    Raises:
        BenchmarkError: it could not run.
    """
    return _run_bound([str(BIN / "reference_client")], [str(folder / "client.log")], load, folder, cores)


def run_bare(load: Load, folder: Path, cores: Cores) -> Measured:
    """Run the bare client in Python likewise; it writes no log.

    Raises:
        BenchmarkError: it could not run.
    """
    return _run_bound([sys.executable, str(HERE / "bare_client.py")], [], load, folder, cores)


def _run_bound(program: list[str], log: list[str], load: Load, folder: Path, cores: Cores) -> Measured:
    folder.mkdir(parents=True)
    numbers = [str(load.streams), load.model, str(load.requests), str(load.ramp_s)]
    with reference_server(folder, cores.server) as server:
        ended = run_process(
            [*program, *numbers, str(server.port), *log],
            folder=folder,
            core=cores.client,
            timeout_s=load.timeout_s,
        )
    if ended.exit_code != 0:
        raise BenchmarkError(f"{Path(program[-1]).name} ended with {ended.exit_code}: {ended.stderr[-2000:]}")
    return Measured(load, ended, server.waited_ms, folder)
