"""The C programs compile, answer as documented, and all clients agree with the server on every event."""

import http.client
import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# scripts, not a package: they find each other by the folder they stand in
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
pairing = importlib.import_module("pairing")
reference = importlib.import_module("reference")

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)
_MS = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "BIN", tmp_path_factory.mktemp("bin"))
        reference.build()  # fails on a warning of the compiler
        yield


def test_client_and_server_agree_on_every_event(tmp_path: Path) -> None:
    load = reference.Load(streams=8, requests=20, ttft_ms=5, itl_ms=1, events=10, ramp_s=0)
    run = reference.run_client(load, tmp_path / "run", reference.two_cores())
    truth = pairing.read_truth(run.folder)
    found = pairing.pair(pairing.read_client_log(run.folder / "client.log"), truth)
    assert (found.requests, found.events, found.unpaired, found.impossible) == (20, 200, 0, 0)
    assert json.loads(run.ended.stdout)["events"] == 200
    for answer in truth.values():
        due_ns = answer.received_ns + (5 + np.arange(10)) * _MS
        assert (answer.written_ns >= due_ns).all()
        assert answer.request_bytes > 1000


def test_bare_client_times_every_event(tmp_path: Path) -> None:
    load = reference.Load(streams=4, requests=10, ttft_ms=5, itl_ms=1, events=10, ramp_s=0)
    run = reference.run_bare(load, tmp_path / "run", reference.two_cores())
    assert run.ended.stdout == "100 events of 10 answers\n"
    assert [len(answer.written_ns) for answer in pairing.read_truth(run.folder).values()] == [10] * 10


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param(b'{"stream":true,"model":"n=2,itl=1"}', 200, "[DONE]", id="a stream"),
        pytest.param(b'{"stream":true,"model":"usage=0,role=1"}', 200, '"role":"assistant"', id="a role"),
        pytest.param(b'{"stream":true,"model":"reasoning=1"}', 200, "reasoning_content", id="reasoning"),
        pytest.param(b'{"stream":true,"model":"status=429"}', 429, "rate_limit_error", id="asked to refuse"),
        pytest.param(b'{"stream":true,"model":"gpt"}', 400, "tokens_per_event=", id="not a behaviour"),
        pytest.param(b'{"stream":true,"model":"n=0"}', 400, "out of bounds", id="no events"),
        pytest.param(b'{"model":"n=2"}', 400, "stream: true", id="not streamed"),
        pytest.param(b'["model"]', 400, "JSON object", id="no model"),
        pytest.param(
            b'{"x":["\\"model\\":",{"model":"n=0"}],"model":"n=1","stream":true}', 200, "[DONE]", id="deep"
        ),
    ],
)
def test_server_answers(tmp_path: Path, body: bytes, status: int, says: str) -> None:
    with reference.reference_server(tmp_path, reference.two_cores().server) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", "/v1/chat/completions", body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
    assert answer.status == status
    assert says in text
    assert len(pairing.read_truth(tmp_path)) == (status == 200)


def test_large_requests_in_pieces_on_one_connection(tmp_path: Path) -> None:
    body = b'{"stream":true,"model":"n=1","prompt":"' + b"x" * 300_000 + b'"}'
    with reference.reference_server(tmp_path, reference.two_cores().server) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(2):
            connection.putrequest("POST", "/v1/chat/completions")
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            for begin in range(0, len(body), 70_001):
                connection.send(body[begin : begin + 70_001])
            assert b"tok00" in connection.getresponse().read()
        connection.close()
    assert len(pairing.read_truth(tmp_path)) == 2


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with reference.reference_server(tmp_path, reference.two_cores().server) as server:
        ended = reference.run_process(
            [str(reference.BIN / "reference_server"), "-p", str(server.port)],
            folder=tmp_path,
            core=reference.two_cores().client,
            timeout_s=10,
        )
    assert ended.exit_code == 1
    assert f"port {server.port}: Address already in use" in ended.stderr
