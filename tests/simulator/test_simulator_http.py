"""What goes over the socket, byte by byte, and the log of true instants."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from loadgen.simulator.process import RunningSimulator, start


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("truth") / "truth.jsonl"


@pytest.fixture(scope="module")
def simulator(log: Path) -> Iterator[RunningSimulator]:
    with start(seed=5, log=log) as running:
        yield running


class Connection:
    """A bare HTTP/1.1 client: sends what it is given, splits what comes back."""

    def __init__(self, base_url: str) -> None:
        host, port = base_url.removeprefix("http://").removesuffix("/v1").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)
            if len(parts) > 1:
                time.sleep(0.005)  # so that they do not arrive as one

    def head(self) -> tuple[int, dict[str, str]]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def chunks(self) -> Iterator[bytes]:
        while size := int(self.file.readline(), 16):
            data = self.file.read(size)
            assert self.file.read(2) == b"\r\n"
            yield data
        assert self.file.readline() == b"\r\n"

    def response(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join(self.chunks())
        return status, headers, self.file.read(int(headers["content-length"]))


def post(body: bytes | dict[str, Any], path: str = "/v1/chat/completions", version: str = "1.1") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"POST %s HTTP/%s\r\nHost: sim\r\nContent-Length: %d\r\n\r\n%s" % (
        path.encode(),
        version.encode(),
        len(data),
        data,
    )


def ask(max_tokens: int = 3, *, stream: bool = True, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "x" * 43}]
    return {"model": "m", "messages": messages, "stream": stream, "max_tokens": max_tokens} | more


def events(body: bytes) -> list[Any]:
    *parts, rest = body.split(b"\n\n")
    assert rest == b""
    assert parts.pop() == b"data: [DONE]"
    assert all(part.startswith(b"data: ") for part in parts)
    return [json.loads(part.removeprefix(b"data: ")) for part in parts]


def logged(log: Path, response_id: str) -> dict[str, Any]:
    """Wait for the line of a request: it is written when the request is over."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines():
            entry: dict[str, Any] = json.loads(line)
            if entry["id"] == response_id:
                return entry
        time.sleep(0.01)
    raise AssertionError(f"{response_id} is not in the log")


def test_keep_alive_and_split_requests(simulator: RunningSimulator) -> None:
    with Connection(simulator.base_url) as connection:
        for _ in range(2):
            raw = post(ask())
            connection.send(raw[:10], raw[10:60], raw[60:-5], raw[-5:])
            status, headers, body = connection.response()
            assert status == 200
            assert headers["content-type"].startswith("text/event-stream")
            assert headers["x-request-id"].startswith("req_")
            assert len(events(body)) == 5  # role, three tokens, finish


def test_pipelined_requests_are_answered_in_order(simulator: RunningSimulator) -> None:
    with Connection(simulator.base_url) as connection:
        connection.send(post(ask(2)) + post(ask(1, stream=False)) + post(ask(4)))
        assert len(events(connection.response()[2])) == 4
        assert json.loads(connection.response()[2])["usage"]["completion_tokens"] == 1
        assert len(events(connection.response()[2])) == 6


def test_the_role_comes_first_and_the_log_knows_each_write(simulator: RunningSimulator, log: Path) -> None:
    with Connection(simulator.base_url) as connection:
        sent_ns = time.monotonic_ns()
        connection.send(post(ask(4)))
        connection.head()
        arrived_ns = []
        chunks = []
        for chunk in connection.chunks():
            arrived_ns.append(time.monotonic_ns())
            chunks.append(chunk)
    role = json.loads(chunks[0].removeprefix(b"data: "))
    entry = logged(log, role["id"])
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert (entry["model"], entry["prompt_tokens"], entry["output_tokens"]) == ("m", 10, 4)
    assert entry["finish_reason"] == "length"
    assert entry["last_ns"] == entry["events_ns"][-1]
    instants = [sent_ns, entry["received_ns"], *entry["events_ns"]]
    assert instants == sorted(instants)
    for written_ns, read_ns in zip(entry["events_ns"], arrived_ns[1:5], strict=True):
        assert written_ns < read_ns  # one clock, and a stamp is taken before its write


def test_the_log_says_which_tokens_were_reasoning(simulator: RunningSimulator, log: Path) -> None:
    with Connection(simulator.base_url) as connection:
        connection.send(post(ask(48, reasoning_effort="minimal")))
        deltas = [event["choices"][0]["delta"] for event in events(connection.response()[2])[1:-1]]
        connection.send(post(ask(2, reasoning_effort="minimal", stream=False)))
        short = json.loads(connection.response()[2])["id"]
    thoughts = ["reasoning_content" in delta for delta in deltas]
    assert thoughts == sorted(thoughts, reverse=True)  # they come first
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    (entry,) = (line for line in lines if line["output_tokens"] == 48)
    assert 0 < entry["reasoning_tokens"] == sum(thoughts) < 48
    assert logged(log, short)["reasoning_tokens"] == 2


def test_a_whole_answer_is_one_write_in_the_log(simulator: RunningSimulator, log: Path) -> None:
    with Connection(simulator.base_url) as connection:
        connection.send(post(ask(4, stream=False)))
        status, headers, body = connection.response()
        read_ns = time.monotonic_ns()
    assert (status, headers["content-type"]) == (200, "application/json")
    entry = logged(log, json.loads(body)["id"])
    assert entry["output_tokens"] == 4
    assert [entry["last_ns"]] == entry["events_ns"]
    assert entry["received_ns"] < entry["last_ns"] < read_ns


def test_usage_is_null_until_its_own_event(simulator: RunningSimulator) -> None:
    with Connection(simulator.base_url) as connection:
        connection.send(post(ask(2, stream_options={"include_usage": True})))
        *others, last = events(connection.response()[2])
    assert all(event["usage"] is None for event in others)
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_client_that_leaves_frees_its_place(simulator: RunningSimulator, log: Path, stream: bool) -> None:
    model = f"left-{stream}"
    with contextlib.ExitStack() as stack:
        # the batch of the default profile has 64 places; these want them for minutes
        leavers = [stack.enter_context(Connection(simulator.base_url)) for _ in range(64)]
        for leaver in leavers:
            leaver.send(post(ask(10_000, stream=stream, model=model)))
        if stream:
            ids = []
            for leaver in leavers:
                leaver.head()
                chunks = leaver.chunks()
                ids.append(json.loads(next(chunks).removeprefix(b"data: "))["id"])
                next(chunks)  # it has its place
            waiter = stack.enter_context(Connection(simulator.base_url))
            waiter.send(post(ask(model=model)))
            waiter.head()
            assert b'"role"' in next(waiter.chunks())  # the role event waits for no place
        else:
            time.sleep(0.5)
    with Connection(simulator.base_url) as connection:
        connection.send(post(ask(2, model=model)))
        assert len(events(connection.response()[2])) == 4
    if stream:
        entry = logged(log, ids[0])
        assert entry["finish_reason"] is None
        assert 1 <= entry["output_tokens"] == len(entry["events_ns"]) < 10_000


def test_a_client_that_does_not_read_is_dropped_and_holds_up_nobody(
    simulator: RunningSimulator, log: Path
) -> None:
    model = "long-" * 20_000  # every event repeats it, so that few events fill every buffer
    with Connection(simulator.base_url) as idler, Connection(simulator.base_url) as connection:
        idler.send(post(ask(10_000, model=model)))
        idler.head()
        role = json.loads(next(idler.chunks()).removeprefix(b"data: "))
        for _ in range(2):
            connection.send(post(ask(10, model=model)))
            assert len(events(connection.response()[2])) == 12
        entry = logged(log, role["id"])  # it is over, though nobody closed it
    assert entry["finish_reason"] is None
    assert 10 < entry["output_tokens"] < 10_000


@pytest.mark.parametrize(
    ("raw", "status", "message"),
    [
        pytest.param(post(b""), 400, "could not parse", id="empty"),
        pytest.param(post(b"{"), 400, "could not parse", id="cut"),
        pytest.param(post(b'{"model": "\xff"}'), 400, "could not parse", id="not-utf8"),
        pytest.param(post(b'{"x":' + b"[" * 100_000), 400, "could not parse", id="deep"),
        pytest.param(post(b"[]"), 400, "Expected `object`, got `array`", id="not-an-object"),
        pytest.param(post({"n": 1}), 400, "Missing required parameter: 'model'", id="no-model"),
        pytest.param(post({"model": "m"}), 400, "Missing required parameter: 'messages'", id="no-messages"),
        pytest.param(post({"model": ""}), 400, "'model'", id="empty-model"),
        pytest.param(post(ask(), version="1.0"), 400, "HTTP/1.1", id="http-1.0-stream"),
        pytest.param(post(b"{}", path="/v1/other"), 404, "Invalid URL (POST /v1/other)", id="route"),
        pytest.param(post(b"{}", path="/v1/models"), 405, "Not allowed to POST", id="method"),
    ],
)
def test_errors_have_openais_shape(
    simulator: RunningSimulator, raw: bytes, status: int, message: str
) -> None:
    with Connection(simulator.base_url) as connection:
        connection.send(raw)
        got, headers, body = connection.response()
    assert got == status
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    error = json.loads(body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_missing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_KEY", "right")
    with start(api_key_env="SIMULATOR_KEY") as running, Connection(running.base_url) as connection:
        connection.send(b"GET /v1/models HTTP/1.1\r\nHost: sim\r\n\r\n")
        status, _, body = connection.response()
    assert status == 401
    assert "didn't provide an API key" in json.loads(body)["error"]["message"]
