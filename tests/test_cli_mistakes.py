"""Mistakes of the user: one line each on standard error, the exit code of the contract, nothing written."""

import json
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import trustme
from click.testing import Result

from tests.endpoint import Answer, Asked, Endpoint, raw, refusal, silence, stream
from tests.program import invoke, loadgen, target, write_scenario

GOOD: dict[str, Any] = {
    "name": "s",
    "targets": [{"name": "a", "model": "m", "base_url": "http://127.0.0.1:9/v1"}],
    "workload": {"source": "jsonl", "file": "prompts.jsonl"},
    "load": {"duration": "1s"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the scenario lies; `out` beside it must not come to be."""
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "hello"}\n')
    yield tmp_path
    assert not (tmp_path / "out").exists()


def mistake(*args: str | Path) -> Result:
    result = invoke(*args)
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result


def lines_of(result: Result) -> list[str]:
    """The errors; there is nothing else on standard error."""
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith("Error: ") for line in lines)
    return [line.removeprefix("Error: ") for line in lines]


def run(folder: Path, *args: str | Path, scenario: str = "s.toml") -> Result:
    return mistake("run", folder / scenario, "--out", folder / "out", *args)


def write(folder: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    raw_tables = json.loads(json.dumps(GOOD))
    change(raw_tables)
    (folder / "s.toml").write_text(tomli_w.dumps(raw_tables), "utf-8")


def edit(path: str, value: Any) -> Callable[[dict[str, Any]], object]:
    """A change of one key, like "targets.0.name"; None takes it out."""

    def change(tables: Any) -> None:
        *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for p in parents:
            tables = tables[p] if isinstance(p, int) else tables.setdefault(p, {})
        if value is None:
            del tables[last]
        else:
            tables[last] = value

    return change


WRONG_VALUES = {
    "unknown key": (edit("load.concurency", 3), 'load.concurency: unknown key; did you mean "concurrency"'),
    "unknown table": (edit("laod", {"duration": "1s"}), 'laod: unknown key; did you mean "load"'),
    "string for a number": (edit("seed", "seven"), 'seed: "seven" is not a whole number; write it like 7'),
    "number for a string": (edit("name", 7), "name: 7 is not"),
    "list for a table": (edit("load", [1]), "load: a list is not a table"),
    "duration without unit": (edit("load.duration", 30), "load.duration: 30 has no unit"),
    "negative duration": (edit("load.duration", "-1s"), 'load.duration: "-1s" is negative'),
    "zero duration": (edit("load.duration", "0s"), "load.duration: is zero"),
    "an age": (edit("load.duration", "9999h"), "longer than a week"),
    "negative count": (edit("load.concurrency", -1), "load.concurrency: -1 is negative"),
    "zero count": (edit("load.concurrency", 0), "load.concurrency: 0 is out of range"),
    "absurd count": (edit("load.concurrency", 10**30), "load.concurrency: 1"),
    "not a number": (edit("load.concurrency", float("nan")), "load.concurrency: nan is not a count"),
    "half a request": (edit("load.requests", 1.5), "load.requests: 1.5 is not a whole number"),
    "negative seed": (edit("seed", -1), "seed: -1 is out of range"),
    "no targets": (edit("targets", []), "targets: is empty; write at least one [[targets]]"),
    "targets missing": (edit("targets", None), "targets: is missing; write at least one [[targets]]"),
    "no end": (edit("load.duration", None), "load: has neither duration nor requests"),
    "two of one name": (
        edit("targets", [{"name": "a", "model": "m"}] * 2),
        'targets[1].name: "a" is the name of targets[0] too',
    ),
    "no scheme": (edit("targets.0.base_url", "llm.example.com/v1"), "does not begin with http://"),
    "name out of its folder": (edit("name", "../x"), 'name: "../x" is not allowed; write letters'),
    "prompts missing": (edit("workload.file", "none.jsonl"), "workload.file: "),
    "unknown source": (edit("workload.source", "prose2"), 'workload.source: "prose2" is not known'),
    "env without a variable": (edit("targets.0.base_url", "env"), "OPENAI_BASE_URL, which is not set"),
}


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(("change", "told"), WRONG_VALUES.values(), ids=list(WRONG_VALUES))
def test_a_wrong_value(
    folder: Path, command: str, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    write(folder, change)
    out = ("--out", folder / "out") if command == "run" else ()
    result = mistake(command, folder / "s.toml", *out)
    assert result.exit_code == 2
    (line,) = lines_of(result)
    assert told in line


def test_all_mistakes_at_once(folder: Path) -> None:
    def change(tables: dict[str, Any]) -> None:
        edit("load.duration", "soon")(tables)
        edit("targets.0.modle", "m")(tables)
        edit("nmae", "x")(tables)

    write(folder, change)
    result = run(folder)
    assert result.exit_code == 2
    assert len(lines_of(result)) == 3


FILES = {
    "missing": (None, "does not exist"),
    "not TOML": (b"name = \n", ":1:8: is not TOML"),
    "half a table": (b"[load\n", "is not TOML"),
    "not text": (b"\xff\xfe\x00", "is not UTF-8"),
    "unit without quotes": (b"[load]\nduration = 30s\n", 'in quotes, like "30s"'),
    "empty": (b"", "name: is missing"),
}


@pytest.mark.parametrize(("data", "told"), FILES.values(), ids=list(FILES))
def test_a_wrong_file(folder: Path, data: bytes | None, told: str) -> None:
    if data is not None:
        (folder / "s.toml").write_bytes(data)
    result = run(folder)
    assert result.exit_code == 2
    assert any(told in line for line in lines_of(result))


def test_a_directory(folder: Path) -> None:
    result = run(folder, scenario=".")
    assert (result.exit_code, len(lines_of(result))) == (2, 1)
    assert "is a directory" in result.stderr


PROMPTS = {
    "empty": (b"", "prompts.jsonl: holds no prompt"),
    "broken": (b'{"prompt": "a"}\n{"prompt": \n', "prompts.jsonl:2: is not JSON"),
    "not an object": (b'{"prompt": "a"}\n\n[1]\n', "prompts.jsonl:3: is a list, not an object"),
    "misspelt": (
        b'{"promt": "a"}\n',
        "prompts.jsonl:1: has none of `prompt`, `messages`, `body`; did you mean",
    ),
}


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(("data", "told"), PROMPTS.values(), ids=list(PROMPTS))
def test_wrong_prompts(folder: Path, command: str, data: bytes, told: str) -> None:
    write(folder)
    (folder / "prompts.jsonl").write_bytes(data)
    out = ("--out", folder / "out") if command == "run" else ()
    result = mistake(command, folder / "s.toml", *out)
    assert result.exit_code == 2
    (line,) = lines_of(result)
    assert told in line


OPTIONS = {
    "unknown --set key": (("--set", "load.concurency=3"), "--set load.concurency: unknown key; did you mean"),
    "--set without value": (("--set", "load.concurrency"), "--set load.concurrency: has no ="),
    "--set of no target": (("--set", "targets.b.model=x"), "no target is named b"),
    "wrong option value": (("--concurrency", "many"), '--concurrency: "many" is not a count'),
    "wrong --duration": (("--duration", "5"), "--duration: "),
    "wrong --base-url": (("--base-url", "here"), '--base-url: "here" does not begin with http://'),
    "key not set": (
        ("--api-key-env", "NO_SUCH_KEY"),
        "targets[0].api_key_env: the environment variable NO_SUCH_KEY is not set",
    ),
}


@pytest.mark.parametrize(("args", "told"), OPTIONS.values(), ids=list(OPTIONS))
def test_a_wrong_option(folder: Path, args: tuple[str, ...], told: str) -> None:
    write(folder)
    result = run(folder, *args)
    assert result.exit_code == 2
    (line,) = lines_of(result)
    assert told in line


@pytest.mark.parametrize("args", [("--seed", "-1"), ("--sedd", "1"), ("--seed", "x")], ids=str)
def test_a_wrong_usage_is_told_by_click(folder: Path, args: tuple[str, ...]) -> None:
    write(folder)
    result = run(folder, *args)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert result.stderr.count("Error: ") == 1


UNSENDABLE = [
    "sk-secret\nsecond",
    "sk-secret\r\nX-Evil: second",
    "sk-secret é second",
    "sk-secret 日本 second",
]


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("value", UNSENDABLE, ids=["LF", "CR LF", "latin-1", "beyond latin-1"])
def test_a_value_that_a_header_cant_carry_is_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, value: str
) -> None:
    monkeypatch.setenv("LLM_KEY", value)
    write(folder, edit("targets.0.headers", {"x-token": {"env": "LLM_KEY"}}))
    out = ("--out", folder / "out") if command == "run" else ()
    result = mistake(command, folder / "s.toml", *out)
    assert result.exit_code == 2
    (line,) = lines_of(result)
    what = "the value of LLM_KEY holds characters that an HTTP header can't carry"
    assert line == f"targets[0].headers.x-token: {what}; set it to the bare key"


def test_check_tells_all_values_that_cant_be_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", UNSENDABLE[0])

    def change(tables: dict[str, Any]) -> None:
        edit("targets.0.query", {"code": {"env": "LLM_KEY"}, "other": {"env": "NO_SUCH_KEY"}})(tables)
        edit("targets.0.api_key_env", "LLM_KEY")(tables)

    write(folder, change)
    result = mistake("check", folder / "s.toml")
    assert result.exit_code == 2
    assert [line.split(":")[0] for line in lines_of(result)] == [
        "targets[0].api_key_env",
        "targets[0].query.code",
    ]


def test_out_below_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with Endpoint(lambda _: stream()) as endpoint:
        path = write_scenario(tmp_path, target("a", endpoint.base_url), load={"duration": "1s"})
        result = mistake("run", path, "--out", tmp_path / "file" / "reports")
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert "can't be written: Not a directory; choose another folder with --out" in line
    assert (tmp_path / "file").read_text() == "mine"


# endpoints that can't be used: found by the probe


def refused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/v1"


def test_connections_refused(folder: Path) -> None:
    write(folder)
    url = refused_url()
    result = run(folder, "--base-url", url)
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert "target 'a'" in line
    assert f"{url.removeprefix('http://').removesuffix('/v1')} refuses connections" in line


def test_each_target_that_fails_is_told(folder: Path) -> None:
    write(folder)
    result = run(folder, "--base-url", refused_url(), "--model", "x", "--model", "y")
    assert result.exit_code == 1
    assert [line.split(" ", 2)[1] for line in lines_of(result)] == ["'x'", "'y'"]


def test_a_host_that_cant_be(folder: Path) -> None:
    write(folder)
    result = run(folder, "--base-url", "http://two..dots/v1")  # no name server is asked for this one
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert "can't resolve two..dots" in line


def test_a_certificate_that_is_not_trusted(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Endpoint(lambda _: stream(), context) as endpoint:
        write(folder)
        result = run(folder, "--base-url", endpoint.base_url)
        assert not endpoint.asked
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert "is not trusted" in line
    assert "(ca_file is to hold the CA that signed it)" in line
    assert "check ca_file, and that base_url has a name the certificate is for" in line


def _with_key(asked: Asked) -> str:
    return asked.headers["authorization"]


REFUSALS: dict[str, tuple[Answer, str]] = {
    "401": (lambda _: refusal(401, "Incorrect API key provided."), "HTTP 401: Incorrect API key provided"),
    "401 that repeats the key": (lambda a: refusal(401, f"Bad {_with_key(a)}"), "HTTP 401: Bad Bearer ***"),
    "404": (
        lambda _: refusal(404, "The model 'm' does not exist."),
        "HTTP 404: The model 'm' does not exist",
    ),
    "429": (lambda _: refusal(429, "Quota exceeded."), "HTTP 429: Quota exceeded"),
    "error over several lines": (lambda _: refusal(400, "one\ntwo"), "HTTP 400: one two"),
    "not HTTP": (lambda _: raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "not HTTP/1.1"),
    "hangs up": (lambda _: raw(b""), "the server closed the connection before it answered"),
    "never answers": (lambda _: silence(), "no token within first_token = 200ms"),
    "a web page": (
        lambda _: raw(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n<p>no</p>"),
        "HTTP 404: <p>no</p>",
    ),
}


@pytest.mark.parametrize(("answer", "told"), REFUSALS.values(), ids=list(REFUSALS))
def test_a_probe_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer, told: str) -> None:
    monkeypatch.setenv("LLM_KEY", "sk-secret")
    with Endpoint(answer) as endpoint:
        write(folder)
        timeout = ("--set", "targets[0].timeouts.first_token=200ms")
        result = run(folder, "--base-url", endpoint.base_url, "--api-key-env", "LLM_KEY", *timeout)
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert told in line
    assert "sk-secret" not in line


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("", 404, "base_url has no path: try {url}/v1, else check model and key (--no-probe skips this)"),
        ("/", 404, "base_url has no path: try {url}/v1, else check model and key (--no-probe skips this)"),
        ("/v1", 404, "check base_url (it ends in /v1), model and key (--no-probe skips this)"),
        ("", 401, "check base_url (it ends in /v1), model and key (--no-probe skips this)"),
    ],
    ids=["no path", "a slash", "with /v1", "found, but no key"],
)
def test_a_base_url_without_v1(folder: Path, path: str, status: int, told: str) -> None:
    with Endpoint(lambda _: refusal(status, "Not found")) as endpoint:
        write(folder)
        url = endpoint.base_url.removesuffix("/v1")
        result = run(folder, "--base-url", f"{url}{path}")
        assert [a.path for a in endpoint.asked] == [f"{path.rstrip('/')}/chat/completions"]
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert line.endswith(f"HTTP {status}: Not found; {told.format(url=url)}")


def test_http_where_tls_is_spoken(folder: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Endpoint(lambda _: stream(), context) as endpoint:
        write(folder)
        result = run(folder, "--base-url", endpoint.base_url.replace("https", "http"))
    assert result.exit_code == 1
    (line,) = lines_of(result)
    assert "check base_url (http or https)" in line


def test_more_streams_than_file_descriptors(folder: Path) -> None:
    write(folder)

    def few_descriptors() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))

    args = ("run", folder / "s.toml", "--out", folder / "out", "--concurrency", "500")
    done = loadgen(*args, before=few_descriptors)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: load.concurrency: 500 streams need 564 file descriptors")
    assert "ulimit -n 564" in line
    # as many sessions on fewer connections are no problem: it gets as far as the probe
    done = loadgen(*args, "--set", "targets.a.max_connections=50", before=few_descriptors)
    assert "the probe failed" in done.stderr


def test_the_process_says_the_same(folder: Path) -> None:
    write(folder, edit("load.concurency", 3))
    done = loadgen("run", folder / "s.toml", "--out", folder / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == run(folder).stderr
