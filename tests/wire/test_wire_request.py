"""The head of a target's requests, and the care taken of its secrets."""

from typing import Any

import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.model import FromEnv, Target
from loadgen.wire.request import RequestHead, request_head

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
