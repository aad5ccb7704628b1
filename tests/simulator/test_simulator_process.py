"""The process around the simulator: it comes up, says where, and never outlives its owner."""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loadgen.errors import LoadgenError
from loadgen.simulator.process import start

SIMULATE = [sys.executable, "-m", "loadgen", "simulate", "--port", "0"]


def gone(pid: int) -> bool:
    """Whether a process has ended within 10 s; one that only waits to be reaped has."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def connects(base_url: str) -> bool:
    port = int(base_url.removesuffix("/v1").rpartition(":")[2])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ready(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        assert selector.select(20)
    return str(json.loads(process.stdout.readline())["base_url"])


def test_it_is_gone_after_stop() -> None:
    with start() as running:
        assert connects(running.base_url)
        assert os.getpgid(running.pid) != os.getpgid(0)  # a Ctrl-C at the terminal does not reach it
    assert not connects(running.base_url)
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)
    running.stop()  # a second time does nothing


def test_stop_while_it_answers(tmp_path: Path) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": ""}], "stream": True, "max_tokens": 9999}
    data = json.dumps(body).encode()
    log = tmp_path / "truth.jsonl"
    with start(log=log) as running:
        address = running.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=10) as client:
            client.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data)
                + data
            )
            assert client.recv(1000)
            running.stop()
            while client.recv(65536):  # ends: the stream was cut
                pass
    assert running._process.returncode == 0
    (line,) = log.read_text().splitlines()  # what was cut off is logged too
    assert json.loads(line)["finish_reason"] is None


def test_stop_of_one_that_died() -> None:
    running = start()
    os.kill(running.pid, signal.SIGKILL)
    running.stop()
    assert running._process.returncode == -signal.SIGKILL


def test_it_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "import time\nfrom loadgen.simulator.process import start\n"
        "s = start()\nprint(s.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
        parent.wait()
    assert gone(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signals_end_it_cleanly(number: signal.Signals) -> None:
    with subprocess.Popen(
        SIMULATE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        ready(process)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_failure_to_start_is_told_with_the_childs_words(tmp_path: Path) -> None:
    with pytest.raises(LoadgenError) as caught:
        start(log=tmp_path)  # a directory
    assert str(caught.value).startswith(
        "simulator: ended with exit code 1 before it was ready; Error: --log:"
    )
    assert str(tmp_path) in str(caught.value)


def test_one_that_does_not_come_up_in_time_is_ended() -> None:
    with pytest.raises(LoadgenError, match=r"did not start within 0\.001 s"):
        start(ready_within_s=0.001)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_taken_port_is_one_clear_line(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        taken = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*SIMULATE[:-1], str(port), "--host", host],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: --port: can't listen on {host}:{port}: Address already in use;"
        " choose another port, or 0 for any free one\n"
    )


def test_a_key_variable_that_is_not_set_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    done = subprocess.run(
        [*SIMULATE, "--api-key-env", "NO_SUCH_KEY"], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: --api-key-env: NO_SUCH_KEY is not set; export it, or leave the option out\n"


def test_help_loads_neither_aiohttp_nor_numpy() -> None:
    program = (
        "import sys\nfrom loadgen.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print({'aiohttp', 'numpy', 'uvloop'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
    assert "simulate" in done.stdout
