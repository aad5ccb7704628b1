"""Answers that are one JSON body: what is read of them, how they may end, and that they have no instants."""

import json
from typing import Any, NamedTuple

import pytest

from loadgen.wire import body
from loadgen.wire.timeline import Answer, Usage
from loadgen.workload.prompt import Prompt
from tests.wire.rawserver import RawServer, Script, Step, answer, calling, timeouts_ms

HTML = "Content-Type: text/html; charset=utf-8"


class Row(NamedTuple):
    """chars, finish and id: of an answer that is `ok`; target: its fields beside endpoint and stream."""

    endpoint: str
    body: Any
    outcome: str = "ok"
    error: str | None = None
    chars: int | None = None
    finish: str | None = None
    id: str | None = None
    usage: Usage | None = None
    reasoning: int = 0
    images: int | None = None
    answer: Answer = Answer("")
    inputs: tuple[str, ...] = ()


def chat(finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    """A whole answer as OpenAI gives it."""
    said = {"role": "assistant", "content": None, "refusal": None} | message
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": finish}
    counts = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": counts}


def response(*output: dict[str, Any], status: str = "completed", **more: Any) -> dict[str, Any]:
    """A whole answer of Responses."""
    counts = {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 8},
    }
    body = {"id": "resp_1", "object": "response", "status": status, "error": None, "output": [*output]}
    return body | {"incomplete_details": None, "usage": counts} | more


def message(*texts: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content}


CALL = {"id": "call_a", "type": "function", "function": {"name": "time", "arguments": '{"tz":1}'}}
ITEM = {"id": "fc_1", "type": "function_call", "call_id": "call_a", "name": "time", "arguments": '{"tz":1}'}
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hmm."}]}
COUNTED, RESPONDED = Usage(9, 5), Usage(30, 12, 4, 8)
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
VECTORS = {"object": "list", "data": [VECTOR, VECTOR], "usage": {"prompt_tokens": 8, "total_tokens": 8}}
IMAGE_USAGE = {"input_tokens": 12, "output_tokens": 272, "input_tokens_details": {"text_tokens": 12}}
IMAGES = {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}] * 2, "usage": IMAGE_USAGE}
CHATTED = Row("chat", None, finish="stop", id="chatcmpl-1", usage=COUNTED)
ANSWERS = {
    "chat": CHATTED._replace(body=chat(content="Grüße"), chars=5, answer=Answer("Grüße")),
    "chat, reasoning first": CHATTED._replace(
        body=chat(content="Yes", reasoning_content="Hmm"), chars=6, reasoning=1, answer=Answer("Yes")
    ),
    "chat, only reasoning": CHATTED._replace(
        body=chat("length", reasoning="Hmm"), chars=3, reasoning=1, finish="length"
    ),
    "chat, tools": CHATTED._replace(
        body=chat("tool_calls", tool_calls=[CALL]), chars=12, finish="tool_calls", answer=Answer("", [CALL])
    ),
    "chat, refusal": CHATTED._replace(body=chat(refusal="No."), chars=3, answer=Answer("No.")),
    "chat, parts": CHATTED._replace(
        body=chat(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        chars=2,
        answer=Answer("ab"),
    ),
    "chat, no finish_reason": Row(
        "chat", chat(None, content="Hi"), "truncated", "the answer ended without a finish_reason"
    ),
    "chat, no output": Row("chat", chat(content=""), "empty", "the answer carried no output"),
    "chat, an error": Row(
        "chat", {"error": {"message": "model is loading"}}, "error_in_stream", "model is loading"
    ),
    "chat, vLLM's error": Row(
        "chat", {"object": "error", "message": "too long"}, "error_in_stream", "too long"
    ),
    "chat, nothing known": Row("chat", {"ok": True}, "empty", "the answer carried no output"),
    "chat, cut short": Row(
        "chat", b'{"choices": [{"mess', "truncated", "the answer ends in the middle of its JSON"
    ),
    "chat, an event stream": Row(
        "chat", b"data: {}\n\n", "bad_stream", "the answer is not a JSON object: data: {}"
    ),
    "chat, a list": Row("chat", [1], "bad_stream", "the answer is not a JSON object: [1]"),
    "completions": Row(
        "completions",
        {"id": "cmpl-1", "choices": [{"index": 0, "text": "a + b", "finish_reason": "stop"}]}
        | {"usage": {"prompt_tokens": 7, "completion_tokens": 3}},
        chars=5,
        finish="stop",
        id="cmpl-1",
        usage=Usage(7, 3),
        answer=Answer("a + b"),
    ),
    "completions, no output": Row(
        "completions",
        {"choices": [{"text": "", "finish_reason": "stop"}]},
        "empty",
        "the answer carried no output",
    ),
    "responses": Row(
        "responses",
        response(THOUGHT, message("Hi ", "you"), ITEM),
        chars=4 + 6 + 12,
        finish="completed",
        id="resp_1",
        usage=RESPONDED,
        reasoning=1,
        answer=Answer("Hi you", [CALL]),
    ),
    "responses, incomplete": Row(
        "responses",
        response(message("Hi"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        chars=2,
        finish="max_output_tokens",
        id="resp_1",
        usage=RESPONDED,
        answer=Answer("Hi"),
    ),
    "responses, failed": Row(
        "responses",
        response(status="failed", error={"code": "server_error", "message": "It broke."}),
        "error_in_stream",
        "It broke.",
    ),
    "responses, still queued": Row(
        "responses",
        response(message("Hi"), status="queued"),
        "truncated",
        "the answer ended without a finish_reason",
    ),
    "responses, no output": Row("responses", response(), "empty", "the answer carried no output"),
    "images": Row("images", IMAGES, usage=Usage(12, 272), images=2),
    "images, as URLs": Row("images", {"data": [{"url": "https://h/1.png", "b64_json": None}]}, images=1),
    "images, none": Row("images", {"created": 1, "data": []}, "empty", "the answer carried no images"),
    "images, of nothing": Row(
        "images", {"data": [{"b64_json": ""}, {}]}, "empty", "the answer carried no images"
    ),
    "embeddings": Row("embeddings", VECTORS, usage=Usage(8), inputs=("a", "b")),
    "embeddings, of messages": Row("embeddings", VECTORS | {"data": [VECTOR]}, usage=Usage(8)),
    "embeddings, base64": Row("embeddings", {"data": [{"embedding": "AAAA"}]}),
    "embeddings, one missing": Row(
        "embeddings", VECTORS, "truncated", "the answer carried 2 of 3 vectors", inputs=("a", "b", "c")
    ),
    "embeddings, none": Row("embeddings", {"data": []}, "empty", "the answer carried no vectors"),
    "embeddings, an error": Row(
        "embeddings", {"detail": "x", "error": "no such model"}, "error_in_stream", "no such model"
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_whole_answer(name: str) -> None:
    row = ANSWERS[name]
    raw = answer(row.body if isinstance(row.body, bytes) else json.dumps(row.body))
    prompt = Prompt(
        messages=[{"role": "user", "content": "Hi"}], task="t", keep_answer=True, inputs=row.inputs
    )
    async with (
        RawServer([Step.REQUEST, raw, Step.REQUEST, raw, Step.HOLD]) as server,
        calling(server.base_url, endpoint=row.endpoint, stream=False) as caller,
    ):
        t = await caller.send(prompt)
        assert (await caller.send(prompt)).outcome == row.outcome
        assert server.accepted == 1  # whatever it says, the connection is good
    assert (t.outcome, t.error, t.status) == (row.outcome, row.error, 200)
    assert (t.first_answer_ns, t.event_ns.tolist(), t.events) == (None, [], 0)
    assert t.sent_ns is not None
    assert t.first_byte_ns is not None
    assert t.sent_ns < t.first_byte_ns <= t.done_ns
    if row.outcome == "ok":
        assert t.event_chars.tolist() == ([] if row.chars is None else [row.chars])
        assert (t.finish_reason, t.response_id, t.usage) == (row.finish, row.id, row.usage)
        assert (t.reasoning_events, t.images, t.answer) == (row.reasoning, row.images, row.answer)


@pytest.mark.parametrize("endpoint", ["images", "embeddings"])
async def test_what_never_streams_is_whole_without_being_told(endpoint: str) -> None:
    body = json.dumps(IMAGES if endpoint == "images" else VECTORS)
    async with (
        RawServer([Step.REQUEST, answer(body), Step.HOLD]) as server,
        calling(server.base_url, endpoint=endpoint) as caller,
    ):
        assert (await caller.send()).outcome == "ok"
    assert b'"stream"' not in server.requests[0]
    assert b"Accept: application/json\r\n" in server.requests[0]


async def test_images_of_many_megabytes() -> None:
    body = json.dumps({"data": [{"b64_json": "A" * (3 << 20)}] * 3})
    async with (
        RawServer([Step.REQUEST, answer(body), Step.HOLD]) as server,
        calling(server.base_url, endpoint="images") as caller,
    ):
        t = await caller.send()
    assert (t.outcome, t.images) == ("ok", 3)


async def test_a_body_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1 << 20)
    large = json.dumps({"data": [{"b64_json": "A" * (3 << 20)}]})
    async with (
        RawServer([Step.REQUEST, answer(large), Step.HOLD]) as server,
        calling(server.base_url, endpoint="images") as caller,
    ):
        t = await caller.send()
    assert (t.outcome, t.error) == ("bad_stream", "the answer is larger than 256 MB")


@pytest.mark.parametrize(
    ("raw", "outcome", "error"),
    [
        (
            answer('{"error":{"message":"no"}}', "400 X"),
            "http_error",
            "HTTP 400: no",
        ),
        (
            answer("<html><body>Sign in</body></html>", "200 OK", HTML),
            "bad_stream",
            "the answer is not a JSON object: <html><body>Sign in</body></html>",
        ),
        (answer(""), "empty", "the answer carried no output"),
        (
            answer('{"choices":[]}')[:-3],
            "disconnected",
            "the server closed the connection in the middle of the answer",
        ),
    ],
    ids=["400", "HTML", "nothing", "cut off"],
)
async def test_what_is_no_whole_answer(raw: bytes, outcome: str, error: str) -> None:
    async with (
        RawServer([Step.REQUEST, raw]) as server,
        calling(server.base_url, stream=False) as caller,
    ):
        t = await caller.send()
    assert (t.outcome, t.error) == (outcome, error)


async def test_only_the_total_limits_a_whole_answer() -> None:
    limits = timeouts_ms(first_token=1, between_tokens=1, total=60)
    slow: Script = [Step.REQUEST, answer("x" * 9)[:-9], Step.HOLD]
    async with (
        RawServer(slow) as server,
        calling(server.base_url, endpoint="embeddings", timeouts=limits) as caller,
    ):
        t = await caller.send()
    assert (t.outcome, t.error) == ("timeout", "not done within total = 60ms")


async def test_a_secret_is_blanked_out_before_words_are_cut() -> None:
    key = "sk-0123456789abcdef"
    body = "x" * 255 + key + "y" * 5_000
    async with (
        RawServer([Step.REQUEST, answer(body, "200 OK", "Content-Type: text/plain")]) as server,
        calling(server.base_url, {"KEY": key}, api_key_env="KEY", stream=False) as caller,
    ):
        t = await caller.send()
    assert t.error is not None
    assert "***" in t.error
    assert "sk-" not in t.error
