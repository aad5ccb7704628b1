"""The live path makes no reference cycles: the collector is off while the window runs."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.endpoint import Asked, Endpoint, raw, refusal, silence, stream
from tests.program import target, write_scenario

# a process of its own, so that what the server leaves behind is not counted
PROGRAM = """
import gc, sys
from pathlib import Path
from loadgen.api import RunOptions, run
from loadgen.measure.health import Health
from loadgen.scenario.load import load

stop = Health.stop
def count_and_stop(health):
    print(gc.collect())
    stop(health)
Health.stop = count_and_stop
result = run(load(sys.argv[1]), RunOptions(Path(sys.argv[2]), probe=False))
print(result.report.targets[0].requests.outcomes)
"""


def _answer(asked: Asked) -> AsyncIterator[bytes]:
    match asked.number % 50:
        case 7:
            return refusal(500, "no")
        case 17:
            return raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5")
        case 27:
            return stream(3, close=True)
        case 37:
            return raw()
        case 47 if asked.number < 500:
            return silence()  # a time-out
    return stream(3)


def test_a_collection_finds_next_to_nothing(tmp_path: Path) -> None:
    load = {"concurrency": 20, "requests": 2000}
    with Endpoint(_answer) as endpoint:
        keys = {"timeouts": {"first_token": "300ms"}}
        path = write_scenario(tmp_path, target("a", endpoint.base_url, **keys), load=load)
        command = [sys.executable, "-c", PROGRAM, str(path), str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found, outcomes = done.stdout.splitlines()
    assert all(kind in outcomes for kind in ("ok", "http_error", "disconnected", "timeout"))
    assert int(found) < 100  # not one a request, and not one a failure either
