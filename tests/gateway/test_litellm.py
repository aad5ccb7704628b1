"""Through a real LiteLLM proxy: run with LOADGEN_LITELLM set to its `litellm` command."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.endpoint import Asked, Endpoint, raw
from tests.gateway.litellm_proxy import COMMAND, KEY, entry, proxy, simulator
from tests.program import (
    environment,
    loadgen,
    only_run,
    read_report,
    read_samples,
    target,
    write_scenario,
)
from tests.real_server.llama import llama, needs_llama

pytestmark = [
    pytest.mark.gateway,
    pytest.mark.skipif(not COMMAND, reason="LOADGEN_LITELLM names no litellm command"),
]

ROOT = Path(__file__).parents[2]
LOAD = {"concurrency": 1, "requests": 3, "duration": "2m"}
TEXT = {"source": "synthetic", "prompt_tokens": 30, "chars_per_token": 6.0, "overhead_tokens": 0.0}


class Gateway(NamedTuple):
    """The proxy, and the log of the simulator behind it."""

    base_url: str
    log: Path

    def asked(self) -> Counter[str]:
        """How often each model was asked for upstream."""
        return Counter(json.loads(line)["model"] for line in self.log.read_text().splitlines())


async def too_many(_: Asked) -> AsyncIterator[bytes]:
    body = b'{"error": {"message": "Slow down.", "type": "requests", "param": null, "code": "x"}}'
    head = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-type: application/json\r\n"
    async for part in raw(head + b"content-length: %d\r\n\r\n" % len(body) + body):
        yield part


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with simulator(folder / "upstream.jsonl") as sim, Endpoint(too_many) as busy:
        models = [
            entry("small", sim, "openai/gemini-3.5-flash"),
            entry("large", sim, "openai/gpt-5.5"),
            entry("text", sim, "text-completion-openai/gpt-5.5"),
            entry("embedder", sim, "openai/embedder"),
            entry("painter", sim, "openai/gpt-image-1-mini"),
            entry("locked", sim, "openai/gpt-5.5", key="sk-wrong"),
            entry("busy", busy.base_url, "openai/busy"),
            entry("nowhere", "http://127.0.0.1:9/v1", "openai/nowhere"),
            entry("two-a-minute", sim, "openai/gpt-5.5"),
        ]
        models[-1]["litellm_params"]["rpm"] = 2
        with proxy(models, folder) as base_url:
            yield Gateway(base_url, folder / "upstream.jsonl")


def through(
    gateway: Gateway, folder: Path, *models: str, probe: bool = False, key: str = KEY, **keys: Any
) -> tuple[int, str]:
    """Run three requests a model through the gateway; return exit code and what was said."""
    tables = keys.pop("target", {})
    targets = [target(m, gateway.base_url, api_key_env="GATEWAY_KEY", **tables) for m in models]
    scenario = write_scenario(folder, *targets, load=LOAD, **keys)
    options = [] if probe else ["--no-probe"]
    run = loadgen("run", scenario, "--out", folder / "out", *options, env=environment(GATEWAY_KEY=key))
    return run.returncode, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("model", "endpoint", "stream", "workload"),
    [
        pytest.param("small", "chat", True, TEXT | {"output_tokens": 20}, id="chat"),
        pytest.param("small", "chat", False, TEXT | {"output_tokens": 20}, id="chat-whole"),
        pytest.param("text", "completions", True, TEXT | {"output_tokens": 20}, id="completions"),
        pytest.param("large", "responses", True, TEXT | {"output_tokens": 20}, id="responses"),
        pytest.param("embedder", "embeddings", False, TEXT | {"batch": 2}, id="embeddings"),
        pytest.param("painter", "images", False, {"image_output": {"quality": "low"}}, id="images"),
    ],
)
def test_every_kind_of_endpoint(
    gateway: Gateway, tmp_path: Path, model: str, endpoint: str, stream: bool, workload: dict[str, Any]
) -> None:
    tables = {"endpoint": endpoint, "stream": stream}
    code, said = through(gateway, tmp_path, model, probe=True, target=tables, workload=workload)
    assert code in (0, 4), said  # 4: a busy machine may have been late
    samples = read_samples(only_run(tmp_path / "out"))
    assert [(s["outcome"], s["error"]) for s in samples] == [("ok", None)] * 3
    if endpoint != "images":
        assert all(s["prompt_tokens"] > 10 for s in samples)
    if "output_tokens" in workload:
        assert [(s["token_source"], s["output_tokens"]) for s in samples] == [("usage", 20)] * 3
        assert all((s["first_token_ns"] is not None) == stream for s in samples)


def test_changing_models_is_changing_a_string(gateway: Gateway, tmp_path: Path) -> None:
    before = gateway.asked()
    code, said = through(gateway, tmp_path, "small", "large")
    assert code in (0, 4), said
    assert gateway.asked() - before == {"gemini-3.5-flash": 3, "gpt-5.5": 3}
    report = read_report(only_run(tmp_path / "out"))
    assert [t["model"] for t in report["targets"]] == ["small", "large"]


def test_a_conversation_with_tools(gateway: Gateway, tmp_path: Path) -> None:
    tool = {"name": "read_file", "parameters": {"type": "object"}, "result": "print(1)"}
    # a call, then the answer to its result, then the same in a second turn
    workload = TEXT | {"turns": 2, "output_tokens": 30, "tools": [tool]}
    tables = {"extra_body": {"tool_choice": "required"}}
    through(gateway, tmp_path, "small", target=tables, workload=workload)
    samples = read_samples(only_run(tmp_path / "out"))
    assert {s["outcome"] for s in samples} == {"ok"}
    assert len(samples) > 6
    assert "tool_calls" in {s["finish_reason"] for s in samples}


@pytest.mark.parametrize(
    ("model", "key", "outcome", "words"),
    [
        pytest.param("busy", KEY, "rate_limited", ("HTTP 429", "Slow down.", "retry after 7 s"), id="429"),
        pytest.param("locked", KEY, "http_error", ("HTTP 401", "Incorrect API key"), id="upstream-401"),
        pytest.param("small", "sk-wrong", "http_error", ("HTTP 4",), id="wrong-key"),
        pytest.param("nowhere", KEY, "http_error", ("HTTP 500", "Connection error"), id="unreachable"),
        pytest.param("unheard-of", KEY, "http_error", ("HTTP 400", "Invalid model name"), id="no-model"),
    ],
)
def test_what_goes_wrong_is_told(
    gateway: Gateway, tmp_path: Path, model: str, key: str, outcome: str, words: tuple[str, ...]
) -> None:
    code, said = through(gateway, tmp_path, model, probe=True, key=key)
    assert code == 1
    assert all(word in said for word in ("the probe failed", *words)), said
    assert key not in said
    code, said = through(gateway, tmp_path, model, key=key)
    assert code == 4, said
    for sample in read_samples(only_run(tmp_path / "out")):
        assert sample["outcome"] == outcome
        assert all(word in sample["error"] for word in words)


def test_the_gateways_own_limit(gateway: Gateway, tmp_path: Path) -> None:
    through(gateway, tmp_path, "two-a-minute")
    samples = read_samples(only_run(tmp_path / "out"))
    # two pass in a minute of the clock; where a minute turns between them, all three do
    assert [s["outcome"] for s in samples] in (["ok", "ok", "rate_limited"], ["ok"] * 3)
    limited = [s["error"] for s in samples if s["outcome"] == "rate_limited"]
    assert all("RPM limit=2" in error and "retry after 60 s" in error for error in limited)


def test_a_shipped_scenario_runs_behind_it_by_changing_the_url(gateway: Gateway, tmp_path: Path) -> None:
    run = loadgen(
        *("run", ROOT / "scenarios" / "code_completion.toml", "--out", tmp_path, "--json"),
        *(
            "--base-url",
            gateway.base_url,
            "--api-key-env",
            "GATEWAY_KEY",
            "--model",
            "small",
            "--model",
            "large",
        ),
        *("--concurrency", "2", "--requests", "4", "--warmup", "0s", "--ramp", "0s", "--no-probe"),
        env=environment(GATEWAY_KEY=KEY),
    )
    targets = json.loads(run.stdout)["targets"]
    assert [(t["requests"]["ok"], t["requests"]["failed"]) for t in targets] == [(4, 0)] * 2, run.stderr


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("real")
    with llama() as upstream:
        models = [entry("openai", upstream, "openai/smollm2")]
        models += [entry("text-completion-openai", upstream, "text-completion-openai/smollm2")]
        with proxy(models, folder) as base_url:
            yield Gateway(base_url, folder)


@needs_llama
@pytest.mark.parametrize(
    ("model", "endpoint", "stream"),
    [
        pytest.param("openai", "chat", True, id="chat"),
        pytest.param("openai", "chat", False, id="chat-whole"),
        pytest.param("text-completion-openai", "completions", True, id="completions"),
        pytest.param("openai", "responses", True, id="responses"),
    ],
)
def test_a_real_server_behind_it(
    real: Gateway, tmp_path: Path, model: str, endpoint: str, stream: bool
) -> None:
    tables = {"endpoint": endpoint, "stream": stream}
    code, said = through(real, tmp_path, model, target=tables, workload=TEXT | {"output_tokens": 20})
    assert code in (0, 4), said
    samples = read_samples(only_run(tmp_path / "out"))
    assert [(s["outcome"], s["error"]) for s in samples] == [("ok", None)] * 3
    assert all(s["token_source"] == "usage" and 1 < s["output_tokens"] <= 20 for s in samples)
    if stream:
        assert all(s["sent_ns"] < s["first_token_ns"] < s["last_token_ns"] <= s["done_ns"] for s in samples)
