"""Streams recorded from the simulator: the official SDK and our client read the same out of them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import openai
import pytest
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from loadgen.simulator.answer import Ask
from loadgen.simulator.chat import read_chat
from loadgen.simulator.completions import read_completions
from loadgen.simulator.process import start
from loadgen.simulator.responses import read_responses
from loadgen.simulator.text import Corpus
from loadgen.workload.prompt import Prompt
from tests.wire.rawserver import RawServer, Step, calling

SEED = 5
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "parameters": PARAMETERS}
CHAT_TOOL = {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": "required"}
RESPONSES_TOOL = {"tools": [{"type": "function", **FUNCTION}], "tool_choice": "required"}
THINK = {"reasoning": {"effort": "minimal"}}
SUMMED_UP = {"reasoning": {"effort": "minimal", "summary": "auto"}}


class Read(NamedTuple):
    """What a client made of an answer. reasoning: how many events carried some."""

    text: str
    calls: list[tuple[str | None, str, str]]
    finish: str | None
    usage: tuple[int | None, ...]
    reasoning: int
    response_id: str | None


def _chat(text: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "stream_options": {"include_usage": True}} | more


def _completions(text: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": text, "stream_options": {"include_usage": True}} | more


def _responses(text: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"input": text} | more


async def _sdk_chat(client: openai.AsyncOpenAI, body: dict[str, Any]) -> Read:
    thoughts = 0
    async with client.chat.completions.stream(**body) as stream:
        async for event in stream:
            if event.type == "chunk" and event.chunk.choices:
                thoughts += hasattr(event.chunk.choices[0].delta, "reasoning_content")
        whole = await stream.get_final_completion()
    (choice,), usage = whole.choices, whole.usage
    assert usage
    assert usage.prompt_tokens_details
    assert usage.completion_tokens_details
    return Read(
        choice.message.content or "",
        [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()],
        choice.finish_reason,
        (
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.prompt_tokens_details.cached_tokens,
            usage.completion_tokens_details.reasoning_tokens,
        ),
        thoughts,
        whole.id,
    )


async def _sdk_completions(client: openai.AsyncOpenAI, body: dict[str, Any]) -> Read:
    stream = await client.completions.create(stream=True, **body)
    *chunks, last = [chunk async for chunk in stream]
    usage = last.usage
    assert usage
    assert usage.prompt_tokens_details
    return Read(
        "".join(chunk.choices[0].text for chunk in chunks),
        [],
        chunks[-1].choices[0].finish_reason,
        (usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens, 0),
        0,
        last.id,
    )


async def _sdk_responses(client: openai.AsyncOpenAI, body: dict[str, Any]) -> Read:
    thoughts, numbers = 0, []
    async with client.responses.stream(**body) as stream:
        async for event in stream:
            numbers.append(event.sequence_number)
            thoughts += event.type.startswith("response.reasoning") and event.type.endswith("text.delta")
        whole = await stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    usage = whole.usage
    assert usage
    return Read(
        whole.output_text,
        [(i.call_id, i.name, i.arguments) for i in whole.output if i.type == "function_call"],
        whole.status,
        (
            usage.input_tokens,
            usage.output_tokens,
            usage.input_tokens_details.cached_tokens,
            usage.output_tokens_details.reasoning_tokens,
        ),
        thoughts,
        whole.id,
    )


class Kind(NamedTuple):
    path: str
    read: Callable[[bytes], Ask]
    body: Callable[[str, dict[str, Any]], dict[str, Any]]
    sdk: Callable[[openai.AsyncOpenAI, dict[str, Any]], Any]
    event: (
        TypeAdapter[Any] | None
    )  # the SDK has one type for whole completions and their chunks: not for these


KINDS = {
    "chat": Kind("/chat/completions", read_chat, _chat, _sdk_chat, TypeAdapter(ChatCompletionChunk)),
    "completions": Kind("/completions", read_completions, _completions, _sdk_completions, None),
    "responses": Kind(
        "/responses", read_responses, _responses, _sdk_responses, TypeAdapter(ResponseStreamEvent)
    ),
}


def _asked(kind: Kind, more: dict[str, Any]) -> dict[str, Any]:
    """A request whose answer is short and ends by itself."""
    corpus = Corpus(SEED)
    for i in range(1000):
        body = {"model": "gpt-5.4-mini"} | kind.body(f"prompt {i} " * 10, more)
        ask = kind.read(json.dumps(body | {"stream": True}).encode())
        if corpus.plot(ask.model, ask.seed, ask.content, ask.offer).free_tokens < 50:
            return body
    raise AssertionError("no answer is short")


async def _recorded(base_url: str, path: str, body: dict[str, Any]) -> bytes:
    url = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    data = json.dumps(body | {"stream": True}).encode()
    head = f"POST /v1{path} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    async with asyncio.timeout(20):
        got = await reader.read()
    writer.close()
    await writer.wait_closed()
    return got


def _events(raw: bytes) -> Iterator[bytes]:
    """Yield the data of a recording's events, each of which is a chunk of HTTP of its own."""
    rest = raw.partition(b"\r\n\r\n")[2]
    while size := int(rest.partition(b"\r\n")[0], 16):
        chunk, rest = rest.partition(b"\r\n")[2][:size], rest.partition(b"\r\n")[2][size + 2 :]
        *named, data, blank, end = chunk.split(b"\n")
        assert (blank, end) == (b"", b"")
        assert data.startswith(b"data: ")
        if named:
            assert named == [b"event: " + json.loads(data[6:])["type"].encode()]
        yield data[6:]


class Case(NamedTuple):
    kind: str
    more: dict[str, Any]
    thinks: bool = False
    calls: bool = False


CASES = {
    "chat": Case("chat", {}),
    "chat-reasoning": Case("chat", {"reasoning_effort": "minimal"}, thinks=True),
    "chat-tools": Case("chat", CHAT_TOOL, calls=True),
    "chat-both": Case("chat", CHAT_TOOL | {"reasoning_effort": "minimal"}, thinks=True, calls=True),
    "completions": Case("completions", {"suffix": "return x"}),
    "responses": Case("responses", {}),
    "responses-reasoning": Case("responses", THINK, thinks=True),
    "responses-summary": Case("responses", SUMMED_UP, thinks=True),
    "responses-tools": Case("responses", RESPONSES_TOOL, calls=True),
    "responses-both": Case("responses", RESPONSES_TOOL | SUMMED_UP, thinks=True, calls=True),
}


@pytest.fixture(scope="module")
def recordings() -> dict[str, tuple[dict[str, Any], bytes]]:
    """Body and recorded answer of each case."""
    bodies = {name: _asked(KINDS[case.kind], case.more) for name, case in CASES.items()}

    async def record(base_url: str) -> list[bytes]:
        made = (_recorded(base_url, KINDS[CASES[name].kind].path, body) for name, body in bodies.items())
        return await asyncio.gather(*made)

    with start(seed=SEED) as simulator:
        raws = asyncio.run(record(simulator.base_url))
    return {name: (bodies[name], raw) for name, raw in zip(bodies, raws, strict=True)}


@pytest.mark.parametrize("name", CASES)
async def test_the_sdk_and_our_client_read_the_same(
    recordings: dict[str, tuple[dict[str, Any], bytes]], name: str
) -> None:
    case, (body, raw) = CASES[name], recordings[name]
    kind = KINDS[case.kind]
    events = list(_events(raw))
    if case.kind != "responses":
        assert events.pop() == b"[DONE]"
    if kind.event:
        for event in events:
            kind.event.validate_json(event)

    async with RawServer([Step.REQUEST, raw]) as server:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="any", max_retries=0) as client:
            by_sdk = await kind.sdk(client, body)
        async with calling(server.base_url, endpoint=case.kind) as caller:
            ours = await caller.send(Prompt(messages=[], task="t", keep_answer=True))

    assert (ours.outcome, ours.error) == ("ok", None)
    assert ours.answer
    assert ours.usage
    by_us = Read(
        ours.answer.text,
        [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in ours.answer.tool_calls],
        ours.finish_reason,
        (
            ours.usage.prompt_tokens,
            ours.usage.output_tokens,
            ours.usage.cached_tokens,
            ours.usage.reasoning_tokens,
        ),
        ours.reasoning_events,
        ours.response_id,
    )
    assert by_us == by_sdk
    assert bool(by_us.calls) == case.calls
    assert bool(by_us.text) != case.calls
    assert by_us.usage[1] == len(ours.event_ns)
    assert by_us.usage[3] == by_us.reasoning
    assert bool(by_us.reasoning) == case.thinks
