"""Runs the simulator as a program: listens, says where, works until told to stop."""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from loadgen.errors import LoadgenError
from loadgen.simulator.app import Simulator
from loadgen.simulator.truth import TruthLog

try:
    from uvloop import new_event_loop
except ImportError:  # no uvloop for this platform
    from asyncio import new_event_loop  # type: ignore[assignment]

_MOST_CONNECTIONS: Final = 65_536
_BACKLOG: Final = 4_096  # a burst of connections is normal here


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """What `loadgen simulate` takes.

    port: 0 takes a free one. models: names that are served; none means any name.
    api_key_env: the variable that holds the key clients must send. log: see `truth.TruthLog`.
    exit_with_stdin: stop when standard input ends, as it does when the parent process dies.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    models: tuple[str, ...] = ()
    seed: int = 0
    api_key_env: str | None = None
    log: Path | None = None
    exit_with_stdin: bool = False


def serve(options: SimulatorOptions) -> None:
    """Serve until SIGTERM or SIGINT (or the end of standard input, when asked).

    Prints one line to standard output when it is ready: `{"base_url": "http://HOST:PORT/v1"}`.

    Raises:
        LoadgenError: the port is taken, the key's variable is not set, the log can't be written.
    """
    api_key = _api_key(options.api_key_env)
    _allow_many_connections()
    with (
        contextlib.closing(TruthLog(options.log)) if options.log else contextlib.nullcontext() as log,
        _listen(options.host, options.port) as listener,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        runner.run(_serve(options, listener, api_key, log))


async def _serve(
    options: SimulatorOptions, listener: socket.socket, api_key: str | None, log: TruthLog | None
) -> None:
    stop = asyncio.Event()
    # An engine that fails takes the program down with it: a simulator that hangs would look like a slow one
    async with asyncio.TaskGroup() as tasks:
        simulator = Simulator(models=options.models, seed=options.seed, api_key=api_key, log=log, tasks=tasks)
        runner = web.AppRunner(
            simulator.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        try:
            await web.SockSite(runner, listener, backlog=_BACKLOG).start()
            _stop_when_told(stop, with_stdin=options.exit_with_stdin)
            gc.collect()
            gc.freeze()  # what lives for ever is not looked at again
            host, port = listener.getsockname()[:2]
            host = f"[{host}]" if ":" in host else host
            sys.stdout.write(json.dumps({"base_url": f"http://{host}:{port}/v1"}) + "\n")
            sys.stdout.flush()
            await stop.wait()
        finally:
            await runner.cleanup()
            simulator.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]  # the address is named already
        what = f"can't listen on {host}:{port}: {why}"
        raise LoadgenError("--port", what, "choose another port, or 0 for any free one") from error


def _stop_when_told(stop: asyncio.Event, *, with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if not with_stdin:
        return
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop.set()

    loop.add_reader(stdin, read)


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise LoadgenError("--api-key-env", f"{variable} is not set", "export it, or leave the option out")
    return key


def _allow_many_connections() -> None:
    """Raise the soft limit of open files, as far as the hard one lets us; less is fine for a small load."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, _MOST_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows less than its hard limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
