"""What servers answer, on real sockets → outcome and words; and what is really sent to them."""

import json
import zlib
from typing import Any, NamedTuple

import pytest

from loadgen import __version__
from loadgen.scenario.model import FromEnv
from tests.wire.rawserver import RawServer, Script, Step, answer, calling, chunk, event, stream

KEY = 'sk-"9f8e7d/6c 5b+4a'
OPENAI_429 = (
    '{"error":{"message":"Rate limit reached for requests","type":"requests","code":"rate_limit_exceeded"}}'
)
HTML = "Content-Type: text/html"
TEXT = "Content-Type: text/plain"


class Row(NamedTuple):
    raw: bytes
    outcome: str
    error: str | None
    status: int = 200


def gzipped(body: str) -> bytes:
    return zlib.compress(body.encode(), wbits=31)


NO_STREAM = "where an event stream is needed"
ANSWERS = {
    "429, OpenAI": Row(
        answer(OPENAI_429, "429 Too Many Requests"),
        "rate_limited",
        "HTTP 429: Rate limit reached for requests",
        429,
    ),
    "429, when to come back": Row(
        answer(OPENAI_429, "429 Too Many Requests", "Retry-After: 7"),
        "rate_limited",
        "HTTP 429: Rate limit reached for requests (retry after 7 s)",
        429,
    ),
    "429, LiteLLM": Row(
        answer(
            '{"error":{"message":"litellm.RateLimitError: slow down","code":"429"}}',
            "429 Too Many Requests",
            "llm_provider-retry-after: 12",
            "x-litellm-version: 1",
        ),
        "rate_limited",
        "HTTP 429: litellm.RateLimitError: slow down (retry after 12 s)",
        429,
    ),
    "429, the gateway's own word first": Row(
        answer("", "429 X", "llm_provider-retry-after: 12", "retry-after: 3"),
        "rate_limited",
        "HTTP 429 (retry after 3 s)",
        429,
    ),
    "429, a date": Row(
        answer("", "429 X", "Retry-After: Sat, 21 Nov 2026 12:00:00 GMT"),
        "rate_limited",
        "HTTP 429 (retry after Sat, 21 Nov 2026 12:00:00 GMT)",
        429,
    ),
    "429, endless words": Row(
        answer("word " * 50_000, "429 X", TEXT, "Retry-After: 7"),
        "rate_limited",
        "HTTP 429: " + ("word " * 58)[:289] + "… (retry after 7 s)",
        429,
    ),
    "503, when to come back": Row(
        answer("busy", "503 X", TEXT, "Retry-After: 7"), "http_error", "HTTP 503: busy", 503
    ),
    "429, no body": Row(answer("", "429 Too Many Requests"), "rate_limited", "HTTP 429", 429),
    "429, blanks": Row(answer(" \r\n", "429 Too Many Requests"), "rate_limited", "HTTP 429", 429),
    "500, JSON of a framework": Row(
        answer('{"detail":"Internal Server Error"}', "500 X"),
        "http_error",
        "HTTP 500: Internal Server Error",
        500,
    ),
    "422, a list of mistakes": Row(
        answer('{"detail":[{"loc":["body","model"],"msg":"field required"}]}', "422 X"),
        "http_error",
        'HTTP 422: [{"loc":["body","model"],"msg":"field required"}]',
        422,
    ),
    "400, an error that is a string": Row(
        answer('{"error":"model not found"}', "400 X"), "http_error", "HTTP 400: model not found", 400
    ),
    "400, vLLM": Row(
        answer('{"object":"error","message":"maximum context length is 2048 tokens","code":400}', "400 X"),
        "http_error",
        "HTTP 400: maximum context length is 2048 tokens",
        400,
    ),
    "400, none of the known keys": Row(
        answer('{"code":7}', "400 X"), "http_error", 'HTTP 400: {"code":7}', 400
    ),
    "400, a JSON string": Row(answer('"no"', "400 X"), "http_error", "HTTP 400: no", 400),
    "502, HTML": Row(
        answer("<html>\n  <h1>Bad\tGateway</h1>\n</html>", "502 Bad Gateway", HTML),
        "http_error",
        "HTTP 502: <html> <h1>Bad Gateway</h1> </html>",
        502,
    ),
    "503, text that is not UTF-8": Row(
        answer(b"\xff overloaded", "503 X", TEXT), "http_error", "HTTP 503: \ufffd overloaded", 503
    ),
    "503, JSON cut short": Row(
        answer('{"error":{"mess', "503 X"), "http_error", 'HTTP 503: {"error":{"mess', 503
    ),
    "500, endless words": Row(
        answer("word " * 50_000, "500 X", TEXT), "http_error", "HTTP 500: " + ("word " * 58)[:289] + "…", 500
    ),
    "500, gzip": Row(
        answer(gzipped('{"message":"oops"}'), "500 X", "Content-Encoding: gzip"),
        "http_error",
        "HTTP 500: oops",
        500,
    ),
    "500, an event stream": Row(
        answer('data: {"error":"x"}\n\n', "500 X", "Content-Type: text/event-stream"),
        "http_error",
        'HTTP 500: data: {"error":"x"}',
        500,
    ),
    "301": Row(
        answer("", "301 Moved", "Location: http://127.0.0.1:1/v2"),
        "http_error",
        "HTTP 301: redirects are not followed; give the final base_url",
        301,
    ),
    "307, with words": Row(answer("Go there", "307 X", TEXT), "http_error", "HTTP 307: Go there", 307),
    "304": Row(
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        "http_error",
        "HTTP 304: redirects are not followed; give the final base_url",
        304,
    ),
    "200, an error as JSON": Row(
        answer('{"error":{"message":"model is loading"}}'), "error_in_stream", "model is loading"
    ),
    "200, a whole answer as JSON": Row(
        answer('{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'),
        "bad_stream",
        f"a JSON body {NO_STREAM} (the request must say stream = true)",
    ),
    "200, HTML": Row(
        answer("\n<!doctype html>\n<title>Sign in</title>", "200 OK", HTML),
        "bad_stream",
        f"HTML {NO_STREAM}: <!doctype html> <title>Sign in</title>",
    ),
    "200, HTML that says it is a stream": Row(
        answer("<html>x</html>", "200 OK", "Content-Type: text/event-stream"),
        "bad_stream",
        f"HTML {NO_STREAM}: <html>x</html>",
    ),
    "200, an error as JSON that says it is text": Row(
        answer('{"error":{"message":"overloaded"}}', "200 OK", TEXT), "error_in_stream", "overloaded"
    ),
    "200, broken JSON": Row(
        answer('{"choices":'), "bad_stream", f"a body that says it is JSON but is not, {NO_STREAM}"
    ),
    "200, JSON that is no object": Row(
        answer("[1]"), "bad_stream", f"a JSON body {NO_STREAM} (the request must say stream = true)"
    ),
    "201 is a success": Row(stream("a").replace(b"200 OK", b"201 Created"), "ok", None, 201),
    "no content type": Row(stream("a").replace(b"Content-Type: text/event-stream\r\n", b""), "ok", None),
    "a content type in capitals": Row(
        answer('{"error":"x"}', "200 OK", "Content-Type: APPLICATION/JSON; charset=utf-8"),
        "error_in_stream",
        "x",
    ),
    "headers in capitals": Row(stream("a").replace(b"Transfer-Encoding", b"TRANSFER-ENCODING"), "ok", None),
    "gzip stream": Row(
        answer(
            gzipped((event("abc") + event("", "stop")).decode()),
            "200 OK",
            "Content-Type: text/event-stream",
            "CONTENT-ENCODING: GZIP",
        ),
        "ok",
        None,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_is_named(name: str) -> None:
    row = ANSWERS[name]
    script: Script = [Step.REQUEST, row.raw, Step.REQUEST, stream("next"), Step.HOLD]
    async with RawServer(script) as server, calling(server.base_url) as caller:
        t = await caller.send()
        assert (t.outcome, t.error, t.status) == (row.outcome, row.error, row.status)
        assert t.first_byte_ns is not None
        assert (len(t.event_ns) > 0) == (row.outcome == "ok")
        if name != "304":  # without a length there
            assert (await caller.send()).outcome == "ok"
            assert server.accepted == 1  # a refusal costs no connection


# secrets


@pytest.mark.parametrize(
    "raw",
    [
        answer(json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}."}}), "401 Unauthorized"),
        answer(json.dumps({"sent": {"authorization": f"Bearer {KEY}"}}), "401 Unauthorized"),
        answer(f"no such page: /v1?key={KEY}", "404 X", TEXT),
        answer("no such page: /v1?key=sk-%229f8e7d%2F6c+5b%2B4a", "404 X", TEXT),
        answer("no such page: /v1?key=sk-%229f8e7d%2F6c%205b%2B4a", "404 X", TEXT),
        answer("x" * 280 + KEY, "401 Unauthorized", TEXT),
        answer(json.dumps({"error": KEY})),
        stream("a").replace(b'"choices"', b'"error": ' + json.dumps(KEY).encode() + b', "choices"'),
        stream("a").replace(b'"r1"', json.dumps(KEY).encode()).replace(b"9a", b"a8"),
        stream("a", finish=KEY),
        stream("a").replace(b"data: {", b"data: " + b"x" * 110 + KEY.encode()),
    ],
    ids=[
        "401",
        "as JSON",
        "plain",
        "query",
        "quoted",
        "at the cut",
        "200",
        "stream",
        "id",
        "finish_reason",
        "no JSON",
    ],
)
async def test_a_secret_that_a_server_repeats_is_blanked_out(raw: bytes) -> None:
    raw = rechunked(raw)
    async with RawServer([Step.REQUEST, raw, Step.HOLD]) as server:
        async with calling(server.base_url, {"KEY": KEY}, api_key_env="KEY") as caller:
            t = await caller.send()
        shown = f"{t.error} {t.response_id} {t.finish_reason}"
        assert KEY.encode() in server.requests[0]
        assert "***" in shown
        assert "sk-" not in shown


def rechunked(raw: bytes) -> bytes:
    """Give an event stream the chunk size of what was put into it."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return raw
    data = b"".join(line + b"\n\n" for line in body.replace(b"\n\n", b"\n").splitlines() if b"data:" in line)
    return head + b"\r\n\r\n" + chunk(data) + b"0\r\n\r\n"


# what is sent


async def sent(
    path: str = "/v1", environ: dict[str, str] | None = None, **target: Any
) -> tuple[str, dict[str, str], Any]:
    """Send one request; return its first line, its headers by their name in small letters, and its body."""
    async with RawServer([Step.REQUEST, stream("a"), Step.HOLD]) as server:
        base_url = server.base_url.replace("/v1", path)
        async with calling(base_url, environ, **target) as caller:
            assert (await caller.send()).outcome == "ok"
    (raw,) = server.requests
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    names = [line.partition(": ")[0].lower() for line in lines]
    assert len(set(names)) == len(names)
    return first, dict(zip(names, (line.partition(": ")[2] for line in lines), strict=True)), json.loads(body)


async def test_a_bare_request() -> None:
    first, headers, body = await sent()
    assert first == "POST /v1/chat/completions HTTP/1.1"
    assert headers.pop("host").startswith("127.0.0.1:")
    assert int(headers.pop("content-length")) > 0
    assert headers == {
        "user-agent": f"loadgen/{__version__}",
        "accept": "text/event-stream, application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
    }
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi, Zoë"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 8,
    }


async def test_key_headers_query_and_extra_body_are_sent() -> None:
    first, headers, body = await sent(
        "/my%20api/v1",
        {"KEY": f" {KEY}\n", "TEAM_TOKEN": "t-0001"},
        api_key_env="KEY",
        headers={"x-team": "search", "X-Token": FromEnv("TEAM_TOKEN"), "ACCEPT": "*/*"},
        query={"api-version": "2026-01-01 b", "sig": FromEnv("TEAM_TOKEN")},
        extra_body={"temperature": 0, "max_completion_tokens": 9, "stream_options": {}},
    )
    assert first == "POST /my%20api/v1/chat/completions?api-version=2026-01-01+b&sig=t-0001 HTTP/1.1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["x-team"], headers["x-token"], headers["accept"]) == ("search", "t-0001", "*/*")
    assert (body["temperature"], body["max_completion_tokens"], body["stream_options"]) == (0, 9, {})
    assert "max_tokens" not in body


async def test_a_request_larger_than_a_socket_takes_at_once() -> None:
    _, _, body = await sent(extra_body={"padding": "x" * 3_000_000})
    assert len(body["padding"]) == 3_000_000
