"""What a request carries: its body, its head, and the care taken of secrets."""

import json
from typing import Any

import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.model import FromEnv, SessionKey, Target
from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.request import RequestHead, request_head
from loadgen.workload.prompt import Prompt

SECRET = "sk-verysecret"


def head_of(environ: dict[str, str] | None = None, **target: Any) -> RequestHead:
    row = Target(**{"name": "t", "model": "m", "base_url": "http://h/v1"} | target)
    return request_head(row, "targets[0]", environ or {})


def lines_of(head: RequestHead) -> list[str]:
    return head.head.decode("latin-1").split("\r\n")


@pytest.mark.parametrize(
    ("base_url", "scheme", "host", "port", "line", "named"),
    [
        ("http://h/v1", "http", "h", 80, "/v1/chat/completions", "h"),
        ("https://h/v1", "https", "h", 443, "/v1/chat/completions", "h"),
        ("https://H.example:8443/v1", "https", "h.example", 8443, "/v1/chat/completions", "H.example:8443"),
        ("http://127.0.0.1:80", "http", "127.0.0.1", 80, "/chat/completions", "127.0.0.1:80"),
        ("http://[::1]:8000/v1", "http", "::1", 8000, "/v1/chat/completions", "[::1]:8000"),
        ("http://u:p@h:1/v1", "http", "h", 1, "/v1/chat/completions", "h:1"),
        ("http://h/a%2Fb/v1/", "http", "h", 80, "/a%2Fb/v1/chat/completions", "h"),
    ],
)
def test_where_requests_go(base_url: str, scheme: str, host: str, port: int, line: str, named: str) -> None:
    head = head_of(base_url=base_url)
    assert (head.scheme, head.host, head.port) == (scheme, host, port)
    assert lines_of(head)[:2] == [f"POST {line} HTTP/1.1", f"Host: {named}"]


def test_a_request_is_the_head_and_the_body() -> None:
    head = head_of()
    assert head.request(b"") == head.head + b"0\r\n\r\n"
    assert head.request(b"{}" * 50) == head.head + b"100\r\n\r\n" + b"{}" * 50
    assert lines_of(head)[-1] == "Content-Length: "


@pytest.mark.parametrize(
    "name", ["accept", "Accept", "ACCEPT", "user-agent", "AUTHORIZATION", "content-TYPE"]
)
def test_a_header_of_the_scenario_takes_the_place_of_ours(name: str) -> None:
    lines = lines_of(head_of({"KEY": SECRET}, api_key_env="KEY", headers={name: "mine"}))
    same = [line for line in lines if line.lower().startswith(name.lower() + ":")]
    assert same == [f"{name}: mine"]


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ({"api_key_env": "LLM_KEY"}, "targets[0].api_key_env"),
        ({"headers": {"api-key": FromEnv("LLM_KEY")}}, "targets[0].headers.api-key"),
        ({"query": {"key": FromEnv("LLM_KEY")}}, "targets[0].query.key"),
    ],
    ids=["key", "header", "query"],
)
@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "the environment variable LLM_KEY is not set"),
        ("", "the environment variable LLM_KEY is not set"),
        (" \n", "the environment variable LLM_KEY is not set"),
        (f"{SECRET}\nX-Evil: 1", "the value of LLM_KEY holds characters that an HTTP header can't carry"),
        (f"{SECRET}é", "the value of LLM_KEY holds characters that an HTTP header can't carry"),
        (f"{SECRET}\x00", "the value of LLM_KEY holds characters that an HTTP header can't carry"),
    ],
)
def test_a_variable_that_will_not_do_is_named_but_never_shown(
    target: dict[str, Any], place: str, value: str | None, what: str
) -> None:
    environ = {"OTHER": "x"} if value is None else {"LLM_KEY": value}
    with pytest.raises(ScenarioError) as caught:
        head_of(environ, **target)
    assert str(caught.value).startswith(f"{place}: {what}; ")
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.problems)
    assert caught.value.exit_code == 2


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", f"  {SECRET}\n")
    head = request_head(
        Target(name="t", model="m", base_url="http://h/v1", api_key_env="LLM_KEY"), "targets[0]"
    )
    assert f"Authorization: Bearer {SECRET}" in lines_of(head)


def test_nothing_shows_a_secret() -> None:
    head = head_of(
        {"A": SECRET, "B": "tok-1234"},
        api_key_env="A",
        headers={"x": FromEnv("B")},
        query={"k": FromEnv("B")},
    )
    shown = f"{head!r} {head}"
    assert SECRET not in shown
    assert "tok-1234" not in shown
    assert "host='h'" in shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"key {SECRET}, {SECRET}", "key ***, ***"),
        ("bearer sk-verysecret-and-more", "bearer ***"),  # the longer of two secrets goes first
        ("a=b+%26c", "a=***"),
        ("a=b%20%26c", "a=***"),
        (
            "abc stays: a secret of three characters is too short",
            "abc stays: a secret of three characters is too short",
        ),
        ("nothing", "nothing"),
    ],
)
def test_secrets_are_blanked_out(said: str, shown: str) -> None:
    environ = {"A": SECRET, "B": f"{SECRET}-and-more", "C": "abc", "D": "b &c"}
    headers = {f"x-{name}": FromEnv(name) for name in environ}
    assert head_of(environ, headers=headers).redact(said) == shown


# bodies

MESSAGES = [{"role": "user", "content": "Hi"}]
PLAIN = {
    "model": "m",
    "messages": MESSAGES,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def body_of(prompt: dict[str, Any], **target: Any) -> Any:
    row = Target(name="t", model="m", **target)
    made = Prompt(**({"messages": MESSAGES, "task": "t"} | prompt))
    return json.loads(ENDPOINTS["chat"].body(row, made))


TOOLS = [{"type": "function", "function": {"name": "f"}}]
EXACT = {"asked_output_tokens": 8, "exact_output": True}
RAW = {"messages": [{"role": "user", "content": "raw"}], "temperature": 0.5}


@pytest.mark.parametrize(
    ("prompt", "target", "body"),
    [
        pytest.param({}, {}, PLAIN, id="plain"),
        pytest.param({"asked_output_tokens": 8}, {}, PLAIN | {"max_tokens": 8}, id="cap"),
        pytest.param(
            EXACT, {}, PLAIN | {"max_tokens": 8, "min_tokens": 8, "ignore_eos": True}, id="exactly so many"
        ),
        pytest.param({"exact_output": True}, {}, PLAIN, id="exactly nothing asked"),
        pytest.param(
            EXACT,
            {"extra_body": {"max_completion_tokens": 5}},
            PLAIN | {"max_completion_tokens": 5, "min_tokens": 5, "ignore_eos": True},
            id="never more than the cap that goes out",
        ),
        pytest.param(
            EXACT,
            {"extra_body": {"max_tokens": 5, "ignore_eos": False}},
            PLAIN | {"max_tokens": 5, "min_tokens": 5, "ignore_eos": False},
            id="extra_body lies over",
        ),
        pytest.param({"tools": TOOLS}, {}, PLAIN | {"tools": TOOLS}, id="tools"),
        pytest.param(
            {"session_id": "s1"},
            {"session": SessionKey(field="user")},
            PLAIN | {"user": "s1"},
            id="session in a field",
        ),
        pytest.param({"session_id": "s1"}, {}, PLAIN, id="session nobody wants"),
        pytest.param({"session_id": "s1"}, {"session": SessionKey(header="x")}, PLAIN, id="not in a header"),
        pytest.param({}, {"session": SessionKey(field="user")}, PLAIN, id="no session"),
        pytest.param({"body": RAW}, {}, {"model": "m"} | RAW, id="verbatim, without a model"),
        pytest.param(
            {"body": RAW | {"model": "theirs"}, "session_id": "s1", "tools": TOOLS} | EXACT,
            {"session": SessionKey(field="user")},
            RAW | {"model": "theirs"},
            id="verbatim, nothing added",
        ),
        pytest.param(
            {"body": RAW},
            {"extra_body": {"stream": True, "temperature": 0}},
            RAW | {"model": "m", "stream": True, "temperature": 0},
            id="verbatim, extra_body lies over",
        ),
    ],
)
def test_the_body_of_a_request(prompt: dict[str, Any], target: dict[str, Any], body: Any) -> None:
    assert body_of(prompt, **target) == body


WORDS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What "}, {"type": "text", "text": "is it?"}]},
]
JOINED = "Be brief.\n\nWhat is it?"
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}}
CALL = {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
TALK = [
    {"role": "user", "content": [{"type": "text", "text": "See"}, PICTURE, SOUND]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_a", "content": "42"},
    {"role": "assistant", "content": "It is 42."},
]
INPUT = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "See"},
            {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
            SOUND,
        ],
    },
    {"type": "function_call", "call_id": "call_a", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_a", "output": "42"},
    {"role": "assistant", "content": "It is 42."},
]


@pytest.mark.parametrize(
    ("endpoint", "prompt", "target", "body"),
    [
        pytest.param(
            "chat",
            {},
            {"stream": False, "extra_body": {"reasoning_effort": "low"}},
            {"messages": WORDS, "stream": False, "reasoning_effort": "low"},
            id="chat, not streamed",
        ),
        pytest.param("completions", {}, {}, {"prompt": JOINED} | STREAMED, id="completions"),
        pytest.param(
            "completions",
            {"fill": ("def f(", "return x")},
            {},
            {"prompt": "def f(", "suffix": "return x"} | STREAMED,
            id="completions, the middle",
        ),
        pytest.param(
            "completions",
            {"fill": ("def f(", "")} | EXACT,
            {"stream": False},
            {"prompt": "def f(", "stream": False, "max_tokens": 8, "min_tokens": 8, "ignore_eos": True},
            id="completions, nothing after, not streamed",
        ),
        pytest.param(
            "responses",
            {
                "messages": TALK,
                "asked_output_tokens": 8,
                "tools": [{"type": "function", "function": FUNCTION}],
            },
            {},
            {
                "input": INPUT,
                "stream": True,
                "max_output_tokens": 8,
                "tools": [{"type": "function"} | FUNCTION],
            },
            id="responses",
        ),
        pytest.param(
            "responses",
            {"messages": MESSAGES} | EXACT,
            {"stream": False, "extra_body": {"max_output_tokens": 5}},
            {"input": MESSAGES, "stream": False}
            | {"max_output_tokens": 5, "min_tokens": 5, "ignore_eos": True},
            id="responses, not streamed, the cap that goes out",
        ),
        pytest.param(
            "images",
            {"image": {"size": "1024x1024", "quality": "low", "n": 2}, "asked_output_tokens": 8},
            {"session": SessionKey(field="user")},
            {"prompt": JOINED, "size": "1024x1024", "quality": "low", "n": 2},
            id="images",
        ),
        pytest.param("embeddings", {"inputs": ("a", "b")}, {}, {"input": ["a", "b"]}, id="embeddings"),
        pytest.param(
            "embeddings",
            {"session_id": "s1"},
            {"session": SessionKey(field="user"), "extra_body": {"dimensions": 256}},
            {"input": JOINED, "user": "s1", "dimensions": 256},
            id="embeddings of messages",
        ),
    ],
)
def test_the_body_of_every_kind(
    endpoint: str, prompt: dict[str, Any], target: dict[str, Any], body: dict[str, Any]
) -> None:
    row = Target(name="t", model="m", endpoint=endpoint, **target)  # type: ignore[arg-type]
    made = Prompt(**({"messages": WORDS, "task": "t"} | prompt))
    assert json.loads(ENDPOINTS[endpoint].body(row, made)) == {"model": "m"} | body


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_verbatim_body_goes_out_as_it_is_to_every_kind(endpoint: str) -> None:
    row = Target(name="t", model="m", endpoint=endpoint, extra_body={"user": "u"})  # type: ignore[arg-type]
    sent = ENDPOINTS[endpoint].body(row, Prompt(messages=[], task="t", body={"input": "x"}))
    assert json.loads(sent) == {"model": "m", "input": "x", "user": "u"}


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        *[("chat", "/chat/completions"), ("completions", "/completions"), ("responses", "/responses")],
        *[("images", "/images/generations"), ("embeddings", "/embeddings")],
    ],
)
def test_the_path_of_every_kind(endpoint: str, path: str) -> None:
    assert lines_of(head_of(endpoint=endpoint))[0] == f"POST /v1{path} HTTP/1.1"


def test_a_verbatim_body_keeps_its_order() -> None:
    body = {"top_p": 1, "messages": [], "model": "x", "é": [1.5, None]}
    row = Target(name="t", model="m")
    sent = ENDPOINTS["chat"].body(row, Prompt(messages=[], task="t", body=body))
    assert sent == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


# the session's header


@pytest.mark.parametrize(
    ("session_id", "value"),
    [
        ("user-7/a_b.c~d", "user-7/a_b.c~d"),
        ('{"user": "a,b"}', '{"user":%20"a,b"}'),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil:%201"),
        ("100%", "100%25"),
        ("Zoë 漢", "Zo%C3%AB%20%E6%BC%A2"),
    ],
)
def test_a_session_goes_into_its_header(session_id: str, value: str) -> None:
    head = head_of(session=SessionKey(header="X-Session"))
    assert head.request(b"{}", session_id) == head.head + f"2\r\nX-Session: {value}\r\n\r\n{{}}".encode()
    assert head.request(b"{}") == head.head + b"2\r\n\r\n{}"


def test_no_header_says_a_session_where_the_target_has_none() -> None:
    head = head_of(session=SessionKey(field="user"))
    assert head.request(b"{}", "s1") == head.head + b"2\r\n\r\n{}"


def test_the_session_takes_the_place_of_a_header_of_its_name() -> None:
    head = head_of(session=SessionKey(header="X-Session"), headers={"x-session": "fixed"})
    assert "fixed" not in head.head.decode()
