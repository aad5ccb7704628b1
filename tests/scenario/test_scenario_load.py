"""A scenario file → a Scenario, or every mistake of the file at once."""

from pathlib import Path

import pytest

from loadgen.scenario.lengths import Constant, Lognormal, Tokens, Uniform
from loadgen.scenario.load import load
from loadgen.scenario.model import FromEnv, SessionKey, Target, Timeouts
from loadgen.scenario.traffic import Load
from tests.scenario.written import LOAD, TARGET, cases, lines_of, only, scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.fixture(autouse=True)
def no_openai_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_the_shipped_code_completion_scenario() -> None:
    got = load(SCENARIOS / "code_completion.toml")
    assert [t.name for t in got.targets] == [t.model for t in got.targets] == ["gpt-5.5", "gemini-3.5-flash"]
    assert all(t.base_url is None for t in got.targets)
    assert only(got).prompt_tokens == Lognormal(Tokens(220), Tokens(900), max=Tokens(4000))
    assert only(got).output_tokens == Uniform(Tokens(16), Tokens(96))
    assert got.load == Load(
        concurrency=32,  # type: ignore[arg-type]
        ramp_ns=2 * 10**9,  # type: ignore[arg-type]
        warmup_ns=2 * 10**9,  # type: ignore[arg-type]
        duration_ns=20 * 10**9,  # type: ignore[arg-type]
        grace_ns=10 * 10**9,  # type: ignore[arg-type]
    )
    assert got.seed == 7


def test_the_shipped_prompts_scenario_finds_its_file() -> None:
    got = load(SCENARIOS / "prompts.toml")
    file = only(got).file
    assert file == str(SCENARIOS / "data" / "prompts.jsonl")
    assert Path(file).is_file()


def test_every_kind_of_value(tmp_path: Path) -> None:
    (tmp_path / "corp.pem").write_text("")
    target = """
base_url = "https://llm.example.com:8443/v1/"
api_key_env = "LLM_KEY"
headers = { "api-key" = { env = "LLM_KEY" }, "x-team" = "search" }
query = { "api-version" = "2026-01-01" }
extra_body = { reasoning_effort = "low", temperature = 0, stop = ["a"], max_tokens = 5 }
ca_file = "sub/../corp.pem"
timeouts = { first_token = "1m30s", total = "120s" }
max_connections = "1k"
context = "32k"
session = { header = "x-session-id" }
"""
    workload = 'prompt_tokens = "1.5k"\noutput_tokens = 64\nsalt = "0a1b2c3d"'
    (got,) = load(scenario(tmp_path, target=target, workload=workload)).targets
    assert got == Target(
        name="a",
        model="m",
        base_url="https://llm.example.com:8443/v1",
        api_key_env="LLM_KEY",
        headers={"api-key": FromEnv("LLM_KEY"), "x-team": "search"},
        query={"api-version": "2026-01-01"},
        extra_body={"reasoning_effort": "low", "temperature": 0, "stop": ["a"], "max_tokens": 5},
        ca_file=str(tmp_path / "corp.pem"),  # type: ignore[arg-type]
        timeouts=Timeouts(first_token_ns=90 * 10**9, total_ns=120 * 10**9),  # type: ignore[arg-type]
        max_connections=1000,  # type: ignore[arg-type]
        context_tokens=32_000,  # type: ignore[arg-type]
        session=SessionKey(header="x-session-id"),
    )
    read = only(load(tmp_path / "s.toml"))
    assert (read.prompt_tokens, read.output_tokens) == (Constant(Tokens(1500)), Constant(Tokens(64)))
    assert read.salt == "0a1b2c3d"


@pytest.mark.parametrize("written", ["0", '"0"', '"0s"'])
def test_zero_needs_no_unit(tmp_path: Path, written: str) -> None:
    assert load(scenario(tmp_path, load_keys=f"{LOAD}grace = {written}")).load.grace_ns == 0


TOP = [
    ('flavour = "x"', "flavour: unknown key; choose from name, description, seed"),
    ("sed = 1", 'sed: unknown key; did you mean "seed"?'),
    ('slo.tttf.p99 = "1s"', 'slo.tttf: unknown key; did you mean "ttft"?'),
    ('slo.ttft.p999 = "1s"', 'slo.ttft.p999: unknown key; did you mean "p99.9"?'),
    ("slo.ttft.p99 = 5", 'slo.ttft.p99: 5 has no unit; write it like "5s"'),
    ('slo.ttft = "1s"', 'slo.ttft: "1s" is not a table; write ttft = {'),
    ('slo.output_tokens_per_s.p5 = "30/s"', 'slo.output_tokens_per_s.p5: "30/s" is not a number'),
    ("slo.error_rate = 5", "slo.error_rate: 5 is not between 0 and 100 %"),
    ("slo.error_rate = 1", 'slo.error_rate: is 100 %, which no run can exceed; write it like "1%" or 0.01'),
    ('slo.error_rate = "100%"', "slo.error_rate: is 100 %, which no run can exceed"),
    ("seed = -1", "seed: -1 is out of range; write a whole number from 0"),
    ("seed = 1.0", "seed: 1.0 is not a whole number"),
    ("seed = true", "seed: true is not a whole number"),
    ("description = 5", "description: 5 is not a string"),
    ("report = 5", "report: 5 is not a table; write [report]"),
    ("report.labels = []", "report.labels: a list is not a table"),
    ("report.labels = { build = 7 }", "report.labels.build: 7 is not a string; write it in quotes"),
    ('report.formats = ["pdf"]', 'report.formats[0]: "pdf" is not known here; choose from'),
    ('report.formats = "csv"', 'report.formats: "csv" is not a list'),
]
TARGETS = [
    ('tempo = "x"', "targets[0].tempo: unknown key; choose from name, model, base_url"),
    ('modell = "x"', 'targets[0].modell: unknown key; did you mean "model"?'),
    ('endpoint = "caht"', 'targets[0].endpoint: "caht" is not known here; did you mean "chat"?'),
    ('base_url = "llm.example.com/v1"', 'targets[0].base_url: "llm.example.com/v1" does not begin with http'),
    ('base_url = "ftp://h/v1"', "does not begin with http"),
    ('base_url = ""', "does not begin with http"),
    ('base_url = "http://"', "names no host"),
    ('base_url = "http://:80/v1"', "names no host"),
    ('base_url = "http://h:0/v1"', "names port 0"),
    ('base_url = "http://h:99999/v1"', "is not a URL"),
    ('base_url = "http://[::1/v1"', "is not a URL"),
    ('base_url = "http://h/v 1"', "has characters that a URL can't have"),
    ('base_url = "http://h/v1\\n"', "has characters that a URL can't have"),
    ('base_url = "http://ü.example/v1"', "has characters that a URL can't have"),
    ('base_url = "http://h/v1#x"', "has a fragment"),
    ('base_url = "http://h/v1?a=b"', 'has a query; move it to query = { "api-version"'),
    ('base_url = "http://me:pw@h/v1"', "has a user name or password; take it out"),
    ('base_url = "http://h/v1/chat/completions"', "names an endpoint; end it before"),
    ('base_url = "http://h/v1/images/generations"', "names an endpoint; end it before"),
    ('base_url = "env"', 'targets[0].base_url: "env" needs the environment variable OPENAI_BASE_URL'),
    ('api_key_env = ""', "targets[0].api_key_env: the value is empty"),
    (
        'api_key_env = "sk-123"',
        "targets[0].api_key_env: the value is not the name of an environment variable",
    ),
    ('headers = { x = { env = "a b" } }', "targets[0].headers.x.env: the value is not the name of an env"),
    ('headers = { x = { env = "A", evn = "B" } }', "targets[0].headers.x.evn: unknown key"),
    ("headers = { x = {} }", "targets[0].headers.x.env: is missing"),
    ("headers = { x = 3 }", "targets[0].headers.x: the value is not a string"),
    ('headers = { "" = "x" }', 'targets[0].headers."": is not the name of a header'),
    ('headers = { "a b" = "x" }', 'targets[0].headers."a b": is not the name of a header'),
    ('headers = { x = "a\\r\\nb: c" }', "targets[0].headers.x: has a character that a header can't carry"),
    ('headers = { x = "a\\u0000" }', "targets[0].headers.x: has a character"),
    ('headers = { x = "€" }', "targets[0].headers.x: has a character"),
    ('headers = { Host = "x" }', "targets[0].headers.Host: is set by loadgen"),
    ('headers = { content-length = "1" }', "targets[0].headers.content-length: is set by loadgen"),
    ('headers = { transfer-encoding = "x" }', "targets[0].headers.transfer-encoding: is set by loadgen"),
    ('headers = { connection = "close" }', "targets[0].headers.connection: is set by loadgen"),
    ('headers = { a = "x", A = "y" }', "targets[0].headers.A: is there twice"),
    ('headers = { Authorization = "Bearer x" }', "targets[0].headers.Authorization: is a secret"),
    ('query = { sig = "x" }', "targets[0].query.sig: is a secret"),
    ('query = { "" = "x" }', 'targets[0].query."": has no name'),
    ("query = { a = 1 }", "targets[0].query.a: the value is not a string"),
    ("extra_body = { stream = false }", "targets[0].extra_body.stream: is set by loadgen"),
    ("extra_body = { messages = [] }", "targets[0].extra_body.messages: is set by loadgen"),
    ("extra_body = { a = [{ b = nan }] }", "targets[0].extra_body.a[0].b: nan can't be written as JSON"),
    ("extra_body = { a = -inf }", "targets[0].extra_body.a: -inf can't be written as JSON"),
    ("extra_body = { a = 2026-01-01 }", "targets[0].extra_body.a: 2026-01-01 can't be written as JSON"),
    ("extra_body = { a = 18446744073709551616 }", "can't be written as JSON"),
    ('ca_file = "no.pem"', 'no.pem" does not exist; paths are relative to the scenario file'),
    ('ca_file = "."', "is a directory, not a file"),
    ('ca_file = ""', 'targets[0].ca_file: "" is not a path'),
    ('ca_file = "s.toml"\ninsecure = true', "targets[0].insecure: makes ca_file pointless"),
    ('insecure = "true"', 'targets[0].insecure: "true" is neither true nor false'),
    ("max_connections = 0", "targets[0].max_connections: 0 is out of range"),
    ("max_connections = 5000000", "targets[0].max_connections: 5000000 is beyond any machine"),
    ("context = 0", "targets[0].context: 0 is out of range"),
    ("session = {}", "targets[0].session: says neither header nor field; write { header"),
    ('session = { header = "a", field = "b" }', "targets[0].session: says header and field"),
    ('session = { header = "a b" }', 'targets[0].session.header: "a b" is not the name of a header'),
    ('session = { header = "Host" }', 'targets[0].session.header: "Host" has a meaning of its own'),
    ('session = { header = "authorization" }', "targets[0].session.header: "),
    ('headers = { X = "y" }\nsession = { header = "x" }', "targets[0].session.header: is one of headers"),
    ('session = { field = "messages" }', 'targets[0].session.field: "messages" is set by loadgen'),
    ('extra_body = { user = 1 }\nsession.field = "user"', "targets[0].session.field: is in extra_body"),
    ('timeouts = "30s"', 'targets[0].timeouts: "30s" is not a table'),
    ('timeouts.total = "30"', 'targets[0].timeouts.total: "30" has no unit; write it like "30s"'),
    ("timeouts.total = 30", 'targets[0].timeouts.total: 30 has no unit; write it like "30s"'),
    ('timeouts.totl = "30s"', 'targets[0].timeouts.totl: unknown key; did you mean "total"?'),
    ('timeouts.connect = "0s"', "targets[0].timeouts.connect: is zero"),
    ('[[targets]]\nname = "a"\nmodel = "x"', 'targets[1].name: "a" is the name of targets[0] too'),
    ('[[targets]]\nname = "b"', "targets[1].model: is missing"),
    ('[[targets]]\nname = " b"\nmodel = "x"', 'targets[1].name: " b" is not fit'),
    ('[[targets]]\nname = ""\nmodel = "x"', 'targets[1].name: "" is empty'),
]


@pytest.mark.parametrize(
    ("part", "keys", "says"),
    [
        *cases("top", TOP),
        *cases("target", TARGETS),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, part: str, keys: str, says: str) -> None:
    (line,) = lines_of(scenario(tmp_path, **{part: keys}))
    assert says in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{TARGET}{LOAD}", 'name: is missing; write name = "..."'),
        (f'name = "a b"\n{TARGET}{LOAD}', 'name: "a b" is not allowed; write letters, digits'),
        (f'name = "a\\n"\n{TARGET}{LOAD}', 'name: "a\\n" is not allowed'),
        (f'name = "s"\n{LOAD}', "targets: is missing; write at least one [[targets]]"),
        (f'name = "s"\n{TARGET}[loads]\nrequests = 1\n', 'loads: unknown key; did you mean "load"?'),
        (f'name = "s"\n[[target]]\n{LOAD}', 'target: unknown key; did you mean "targets"?'),
        (f'name = "s"\ntargets = []\n{LOAD}', "targets: is empty; write at least one [[targets]]"),
        (
            f'name = "s"\n[targets]\nname = "x"\n{LOAD}',
            "targets: is one table, not a list of tables; write [[targets]]",
        ),
        (f'name = "s"\ntargets = ["x"]\n{LOAD}', 'targets[0]: "x" is not a table'),
    ],
    ids=[
        "no name",
        "blank in name",
        "newline in name",
        "no targets",
        "load misspelt",
        "targets misspelt",
        "empty targets",
        "one table",
        "not a table",
    ],
)
def test_a_mistake_at_the_top(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    (line,) = lines_of(path)
    assert line.startswith(says)


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    target = """
base_url = "http://me:pw@h/v1?a=b"
headers = { host = "x", authorization = "Bearer x", y = 3 }
extra_body = { stream = true, x = nan }
timeouts = { total = "30", conect = "1s" }
[[targets]]
name = "a"
"""
    lines = lines_of(
        scenario(
            tmp_path,
            top="sed = 1",
            target=target,
            workload='source = "jsonl"\nprompt_tokens = { kind = "uniform", min = 9, max = 1 }',
            load_keys='[load]\nramp = "x"\nconcurrency = true',
        )
    )
    assert sorted(line.split(": ")[0] for line in lines) == sorted(
        [
            "sed",
            "targets[0].base_url",
            "targets[0].base_url",
            "targets[0].headers.host",
            "targets[0].headers.authorization",
            "targets[0].headers.y",
            "targets[0].extra_body.stream",
            "targets[0].extra_body.x",
            "targets[0].timeouts.total",
            "targets[0].timeouts.conect",
            "targets[1].model",
            "targets[1].name",
            "workload.prompt_tokens",
            "workload.file",
            "load",
            "load.ramp",
            "load.concurrency",
        ]
    )


@pytest.mark.parametrize(
    "target",
    [
        'base_url = "http://me:hunter2@h/v1"',
        'base_url = "h/v1?key=hunter2"',
        'api_key_env = "hunter2!"',
        'headers = { authorization = "hunter2" }',
        'headers = { x = "hunter2\\n" }',
        'headers = { x = ["hunter2"] }',
        'headers = { x = { env = "hunter2!" } }',
        'headers = "hunter2"',
        'query = { key = "hunter2" }',
    ],
)
def test_no_secret_is_shown(tmp_path: Path, target: str) -> None:
    assert not any("hunter2" in line for line in lines_of(scenario(tmp_path, target=target)))


def test_base_url_env_brings_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://llm.example.com/v1/")
    path = scenario(
        tmp_path, target='base_url = "env"\n[[targets]]\nname = "b"\nmodel = "m"\nbase_url = "http://h/v1"'
    )
    assert [t.api_key_env for t in load(path).targets] == [None, None]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    first, second = load(path).targets
    assert (first.base_url, first.api_key_env) == ("https://llm.example.com/v1", "OPENAI_API_KEY")
    # a key must not reach a host that it was not meant for
    assert (second.base_url, second.api_key_env) == ("http://h/v1", None)


@pytest.mark.parametrize(
    ("target", "variable"),
    [
        ('api_key_env = "MINE"', "MINE"),
        ('headers = { Authorization = { env = "MINE" } }', None),
    ],
    ids=["own variable", "own header"],
)
def test_base_url_env_leaves_another_key_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, variable: str | None
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://llm.example.com/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    got = load(scenario(tmp_path, target=f'base_url = "env"\n{target}')).targets[0]
    assert got.api_key_env == variable


def test_a_mistake_in_the_variable_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "llm.example.com")
    (line,) = lines_of(scenario(tmp_path, target='base_url = "env"'))
    assert line.startswith('OPENAI_BASE_URL: "llm.example.com" does not begin with http')


def test_the_key_goes_out_once(tmp_path: Path) -> None:
    target = 'api_key_env = "A"\nheaders = { Authorization = { env = "B" } }'
    (line,) = lines_of(scenario(tmp_path, target=target))
    assert "is sent for api_key_env already" in line
