"""Against a real model server: run with LOADGEN_LLAMA_PYTHON set to a Python that has its wheels."""

import asyncio
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from loadgen.scenario.model import Target
from loadgen.wire import client as client_module
from loadgen.wire.client import Client
from loadgen.wire.decode_queue import DecodeQueue
from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.kind import Piece
from loadgen.wire.request import request_head
from loadgen.workload.prompt import Prompt
from tests.real_server.llama import llama, needs_llama

if TYPE_CHECKING:
    from loadgen.wire.timeline import Timeline

SCENARIO = pathlib.Path(__file__).parents[2] / "scenarios" / "code_completion.toml"

pytestmark = [pytest.mark.real_server, needs_llama]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with llama() as url:
        yield url


def test_code_completion_runs(base_url: str, tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "loadgen", "run", str(SCENARIO), "--out", str(tmp_path), "--json"]
    command += ["--base-url", base_url, "--model", "smollm2", "--concurrency", "2", "--requests", "6"]
    command += ["--warmup", "0s", "--ramp", "0s", "--duration", "5m"]
    command += ["--set", "workload.prompt_tokens=80", "--set", "workload.output_tokens=12"]
    command += ["--set", "workload.ignore_eos=true"]  # else the model may end an answer sooner
    run = subprocess.run(command, capture_output=True, check=False, timeout=280)
    assert run.returncode in (0, 3), run.stderr.decode()  # 3: its objectives are not meant for a CPU
    (target,) = orjson.loads(run.stdout)["targets"]
    assert target["requests"]["sent"] == target["requests"]["ok"] == 6
    assert target["tokens"]["source"] == "usage"
    assert target["tokens"]["output"] == target["requests"]["ok"] * 12
    assert target["metrics"]["ttft_ms"]["count"] == 6
    (latest,) = tmp_path.glob("code_completion/latest")
    for line in (latest / "samples.jsonl").read_bytes().splitlines():
        sample = orjson.loads(line)
        assert (
            sample["sent_ns"] < sample["first_byte_ns"] <= sample["first_token_ns"] < sample["last_token_ns"]
        )
        assert sample["last_token_ns"] <= sample["done_ns"]


async def test_ttft_is_never_less_than_the_servers_own_prefill(
    base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    timings: dict[str, dict[str, Any]] = {}
    chat = ENDPOINTS["chat"]

    def read(event: Any) -> Piece:
        if "timings" in event:
            timings[event["id"]] = event["timings"]
        return chat.read(event)

    monkeypatch.setattr(client_module, "ENDPOINTS", {"chat": chat._replace(read=read)})
    target = Target(name="llama", model="smollm2", base_url=base_url, extra_body={"cache_prompt": False})
    client = Client(target, request_head(target, "target"), DecodeQueue(asyncio.get_running_loop()))
    await client.open()
    answers: asyncio.Queue[Timeline] = asyncio.Queue()
    for i in range(4):
        messages = [{"role": "user", "content": f"Count from {i} to twenty. " * (i + 1)}]
        await client.send(Prompt(messages=messages, task="t", asked_output_tokens=8), answers.put_nowait)
        answer = await answers.get()
        assert answer.outcome == "ok", answer.error
        assert answer.response_id is not None
        assert answer.sent_ns is not None
        own = timings[answer.response_id]
        assert (int(answer.event_ns[0]) - answer.sent_ns) / 1e6 >= own["prompt_ms"]
        assert answer.usage is not None
        # the token that ends an answer is counted and carries no text
        assert 0 <= own["predicted_n"] - len(answer.event_ns) <= 1
        assert answer.usage.output_tokens == own["predicted_n"]
    client.close()
