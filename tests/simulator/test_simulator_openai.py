"""The official OpenAI SDK is content with the simulator."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from loadgen.simulator.process import RunningSimulator, start

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "x" * 43}]  # 10 tokens


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start(seed=5) as running:
        yield running


@pytest.fixture
def client(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=simulator.base_url, api_key="any", max_retries=0) as made:
        yield made


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"gpt-5.5", "gemini-3.5-flash"} <= set(names)
    assert client.models.retrieve("gpt-5.5").object == "model"
    assert client.models.retrieve("Qwen/Qwen3-8B").id == "Qwen/Qwen3-8B"  # every name is served


def test_a_whole_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-5.5", messages=MESSAGES, max_tokens=7)
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-5.5"
    assert answer.id.startswith("chatcmpl-")
    assert answer._request_id
    assert answer._request_id.startswith("req_")
    (choice,) = answer.choices
    assert choice.finish_reason == "length"
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert answer.usage
    assert answer.usage.model_dump(include={"prompt_tokens", "completion_tokens", "total_tokens"}) == {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
    }


@pytest.mark.parametrize("with_usage", [True, False], ids=["usage", "no-usage"])
def test_a_stream(client: openai.OpenAI, with_usage: bool) -> None:
    more: dict[str, Any] = {"stream_options": {"include_usage": True}} if with_usage else {}
    stream = client.chat.completions.create(
        model="gpt-5.5", messages=MESSAGES, max_completion_tokens=6, stream=True, **more
    )
    chunks: list[ChatCompletionChunk] = list(stream)
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    if with_usage:
        usage = chunks.pop()
        assert usage.choices == []
        assert usage.usage
        assert (usage.usage.prompt_tokens, usage.usage.completion_tokens) == (10, 6)
    assert all(chunk.usage is None for chunk in chunks)
    role, *contents, end = [chunk.choices[0] for chunk in chunks]
    assert (role.delta.role, role.delta.content, role.finish_reason) == ("assistant", "", None)
    assert len(contents) == 6
    assert all(choice.delta.content and choice.finish_reason is None for choice in contents)
    assert (end.delta.content, end.finish_reason) == (None, "length")


async def test_streamed_or_not_the_text_is_the_same(async_client: openai.AsyncOpenAI) -> None:
    async def streamed() -> str:
        stream = await async_client.chat.completions.create(
            model="m", messages=MESSAGES, stream=True, max_tokens=20
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def whole() -> str:
        answer = await async_client.chat.completions.create(model="m", messages=MESSAGES, max_tokens=20)
        return answer.choices[0].message.content or ""

    first, second, third = await asyncio.gather(streamed(), whole(), streamed())
    assert first == second == third


async def test_without_a_cap_lengths_follow_the_law(async_client: openai.AsyncOpenAI) -> None:
    async def answer(text: str) -> tuple[int, str | None, str | None]:
        made = await async_client.chat.completions.create(
            model="gemini-3.5-flash", messages=[{"role": "user", "content": text}]
        )
        assert made.usage
        return made.usage.completion_tokens, made.choices[0].finish_reason, made.choices[0].message.content

    # two prompts whose answers are short, so that this is quick
    answers = await asyncio.gather(*(answer(text) for text in ("prompt 62", "prompt 27", "prompt 62")))
    assert [reason for _, reason, _ in answers] == ["stop"] * 3
    assert answers[0] == answers[2]
    assert answers[0] != answers[1]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        pytest.param({"messages": []}, "messages", "invalid_value", id="no-messages"),
        pytest.param({"messages": [{"role": "boss", "content": ""}]}, "messages[0].role", None, id="role"),
        pytest.param({"messages": [{"role": "user"}]}, "messages[0].content", None, id="no-content"),
        pytest.param({"max_tokens": 0}, "max_tokens", "invalid_value", id="max_tokens-0"),
        pytest.param({"max_tokens": "9"}, "max_tokens", "invalid_value", id="max_tokens-text"),
        pytest.param({"max_tokens": 9, "max_completion_tokens": 9}, "max_tokens", None, id="both-caps"),
        pytest.param({"n": 2}, "n", "invalid_value", id="n"),
        pytest.param({"stream_options": {}}, "stream_options", None, id="options-without-stream"),
        pytest.param({"max_tokens": 63_991}, "messages", "context_length_exceeded", id="context-answer"),
        pytest.param(
            {"messages": [{"role": "user", "content": "x" * 275_200}]},  # 64,000 tokens
            "messages",
            "context_length_exceeded",
            id="context-prompt",
        ),
    ],
)
def test_bad_requests(client: openai.OpenAI, body: dict[str, Any], param: str, code: str | None) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="gpt-5.5", messages=MESSAGES, extra_body=body)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    if code:
        assert caught.value.code == code
    assert caught.value.request_id


@pytest.mark.parametrize("path", ["/nowhere", "/chat/completion"])
def test_unknown_route(client: openai.OpenAI, path: str) -> None:
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.post(path, cast_to=object, body={})


def test_wrong_method(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="Not allowed to GET") as caught:
        client.get("/chat/completions", cast_to=object)
    assert caught.value.status_code == 405
    assert caught.value.response.headers["Allow"] == "POST"


def test_key_and_models_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMULATOR_KEY", "right")
    with (
        start(["a", "b/c"], api_key_env="SIMULATOR_KEY") as running,
        openai.OpenAI(base_url=running.base_url, api_key="right", max_retries=0) as client,
    ):
        assert [model.id for model in client.models.list()] == ["a", "b/c"]
        assert client.models.retrieve("b/c").id == "b/c"
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(model="c", messages=MESSAGES)
        assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("c")
        with pytest.raises(openai.AuthenticationError) as wrong:
            client.with_options(api_key="wrong").models.list()
        assert wrong.value.code == "invalid_api_key"
        assert "right" not in str(wrong.value)


def _answers(seed: int, log: Path) -> list[tuple[str | None, int]]:
    """Ask without a cap, all at once; return text and length of each, and check them against the log."""

    async def ask(base_url: str) -> list[tuple[str | None, int]]:
        async with openai.AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
            made = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model="gemini-3.5-flash",
                        messages=[{"role": "user", "content": f"{i}"}],
                        max_tokens=3 + i,
                    )
                    for i in range(6)
                )
            )
        return [(a.choices[0].message.content, a.usage.completion_tokens if a.usage else -1) for a in made]

    with start(seed=seed, log=log) as running:
        answers = asyncio.run(ask(running.base_url))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["output_tokens"] for line in lines) == [length for _, length in answers]
    return answers


def test_a_seed_gives_its_answers(tmp_path: Path) -> None:
    first = _answers(1, tmp_path / "1")
    assert first == _answers(1, tmp_path / "2")
    assert [text for text, _ in first] != [text for text, _ in _answers(2, tmp_path / "3")]
    assert len({text for text, _ in first}) == len(first)
