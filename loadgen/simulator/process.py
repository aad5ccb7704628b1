"""The simulator in a process of its own, started and stopped by the program that measures it."""

import contextlib
import json
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Self

from loadgen.errors import LoadgenError

READY_WITHIN_S: Final = 20.0
_STOP_WITHIN_S: Final = 3.0
_STDERR_LINES: Final = 5


class RunningSimulator:
    """A simulator process. It ends with `stop`, and by itself when this process dies.

    base_url: ends in `/v1`, as the OpenAI SDKs want it.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: IO[bytes], base_url: str) -> None:
        self._process = process
        self._stderr = stderr
        self.base_url = base_url
        self.pid = process.pid

    def stop(self) -> None:
        """End the process and wait for it, a few seconds at most; a second call does nothing."""
        _end(self._process)
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    models: Sequence[str] = (),
    seed: int = 0,
    *,
    log: Path | None = None,
    api_key_env: str | None = None,
    ready_within_s: float = READY_WITHIN_S,
) -> RunningSimulator:
    """Start a simulator on a free port of 127.0.0.1 and wait until it listens; blocks about half a second.

    It is detached from the terminal: a Ctrl-C reaches only us, and requests in flight get their answers.

    Raises:
        LoadgenError: it did not come up; with the last lines it printed.
    """
    command = [sys.executable, "-m", "loadgen", "simulate", "--host", "127.0.0.1", "--port", "0"]
    command += ["--seed", str(seed), "--exit-with-stdin"]
    for model in models:
        command += ["--model", model]
    if log is not None:
        command += ["--log", str(log)]
    if api_key_env is not None:
        command += ["--api-key-env", api_key_env]
    with contextlib.ExitStack() as undo:
        # a file, not a pipe: nobody reads it, and a full pipe would stop the simulator
        stderr = undo.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        )
        undo.callback(_end, process)
        base_url = _await_ready(process, stderr, ready_within_s)
        undo.pop_all()
    return RunningSimulator(process, stderr, base_url)


def _await_ready(process: subprocess.Popen[bytes], stderr: IO[bytes], within_s: float) -> str:
    """Read the line that says it listens."""
    assert process.stdout is not None  # noqa: S101 - it was opened as a pipe; this tells mypy
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(within_s):
            raise _failed(f"did not start within {within_s:g} s", stderr)
    if line := process.stdout.readline():  # written at once, so it does not wait
        return str(json.loads(line)["base_url"])
    raise _failed(f"ended with exit code {process.wait()} before it was ready", stderr)


def _failed(what: str, stderr: IO[bytes]) -> LoadgenError:
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").splitlines()[-_STDERR_LINES:]
    return LoadgenError("simulator", what, " / ".join(lines) or "it printed nothing")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its standard input, which tells it to end; if that does not help, by force."""
    for harder in (process.terminate, process.kill):
        try:
            process.communicate(timeout=_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            harder()
        else:
            return
    process.communicate()
