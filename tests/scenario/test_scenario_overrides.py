"""`--set` and the options that stand for keys: what they change, and which place a mistake names."""

from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario
from loadgen.scenario.overrides import apply, from_options, parse_set
from loadgen.scenario.traffic import Burst, Load

SCENARIO = """
name = "s"
[[targets]]
name = "gpt-5.5"
model = "gpt-5.5"
base_url = "https://one.example/v1"
api_key_env = "ONE"
timeouts = { total = "20s" }
[[targets]]
name = "ours"
model = "qwen"
[load]
concurrency = 2
duration = "5s"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "s.toml"
    file.write_text(SCENARIO)
    return file


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("load.concurrency=20", "load.concurrency", 20),
        ("load.duration=400ms", "load.duration", "400ms"),
        ("load.duration = 30", "load.duration", 30),
        ("workload.salt=true", "workload.salt", True),
        ('name="20"', "name", "20"),
        ("name='a=b'", "name", "a=b"),
        ("name=", "name", ""),
        ("x=1.5", "x", 1.5),
        ("x=[1, 2]", "x", [1, 2]),
        ('x={ kind="constant", value=3 }', "x", {"kind": "constant", "value": 3}),
        ("x=http://h:1/v1?a=b#c", "x", "http://h:1/v1?a=b#c"),
        ("x=2026-01-01", "x", "2026-01-01"),
        ("x=1\ny=2", "x", "1\ny=2"),
        ("x=" + "[" * 5000, "x", "[" * 5000),
        ('targets."gpt-5.5".model=x', 'targets."gpt-5.5".model', "x"),
        ('targets."a=b".model=x', 'targets."a=b".model', "x"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_parse_set(text: str, key: str, value: object) -> None:
    assert parse_set(text) == (key, value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("load.concurrency", "--set load.concurrency: has no = after load.concurrency; write it like --set"),
        ("load concurrency=3", "--set load: has no = after load"),
        ("=3", "--set =3: does not begin with a key"),
        ("", "does not begin with a key"),
    ],
)
def test_what_is_no_set_is_refused(text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_set(text)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "read", "value"),
    [
        ("load.concurrency=20", lambda s: s.load.concurrency, 20),
        ("load.concurrency=1k", lambda s: s.load.concurrency, 1000),
        ("load.warmup=0", lambda s: s.load.warmup_ns, 0),
        ("workload.output_tokens=7", lambda s: s.workloads[0].output_tokens.value, 7),
        ("report.labels.build=abc", lambda s: s.report.labels, {"build": "abc"}),
        ("report.labels.build=007", lambda s: s.report.labels, {"build": "007"}),
        ("report.labels.nightly=true", lambda s: s.report.labels, {"nightly": "true"}),
        ('report.labels.build="7"', lambda s: s.report.labels, {"build": "7"}),
        ("targets[1].model=x", lambda s: s.targets[1].model, "x"),
        ("targets.ours.model=x", lambda s: s.targets[1].model, "x"),
        ("targets.gpt-5.5.timeouts.connect=1s", lambda s: s.targets[0].timeouts.connect_ns, 10**9),
        (
            'targets."gpt-5.5".query.api-version=2026-01-01',
            lambda s: s.targets[0].query,
            {"api-version": "2026-01-01"},
        ),
        ('targets[1]={name="n", model="m"}', lambda s: s.targets[1].name, "n"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_set_is_in_the_scenario(path: Path, text: str, read: Any, value: object) -> None:
    assert read(load(path, [parse_set(text)])) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("load.concurency=5", '--set load.concurency: unknown key; did you mean "concurrency"?'),
        ("lod.concurrency=5", '--set lod.concurrency: unknown key; did you mean "load"?'),
        ("load.concurrency=x", '--set load.concurrency: "x" is not a count'),
        ("load.duration=30", '--set load.duration: 30 has no unit; write it like "30s"'),
        ("load=5", "--set load: 5 is not a table"),
        ("targets.ours.timeouts.total=30", "--set targets.ours.timeouts.total: 30 has no unit"),
        ("targets.ours.timeouts={total=30}", "--set targets.ours.timeouts.total: 30 has no unit"),
        (
            "targets.theirs.model=x",
            "--set targets.theirs.model: no target is named theirs; the targets are gpt-5.5, ours",
        ),
        ("targets[2].model=x", "--set targets[2].model: targets has no [2]; it has 2, counted from [0]"),
        (
            "targets[0].headers[0]=x",
            "--set targets[0].headers[0]: targets[0].headers is not set, so it has no [0]",
        ),
        (
            "targets.ours.model=7",
            "--set targets.ours.model: 7 is not a string; write it in two kinds of quotes: --set targets",
        ),
        ("name.x=1", "--set name.x: name is not a table, so it has no key x"),
        ("name[0]=1", "--set name[0]: name is not a list, so it has no [0]"),
        ("load[0]=1", "--set load[0]: load is not a list"),
        ("targets.ours.name=gpt-5.5", '--set targets.ours.name: "gpt-5.5" is the name of targets[0] too'),
    ],
)
def test_a_mistake_of_a_set_names_it(path: Path, text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(path, [parse_set(text)])
    (line,) = str(caught.value).splitlines()
    assert line.startswith(says)


def test_a_mistake_that_a_set_only_makes_visible_is_the_file_s(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\n[[targets]]\nname = "a"\nmodel = "m"\n')
    with pytest.raises(ScenarioError, match=r"^load: has neither duration nor requests"):
        load(path, [("load.concurrency", 3)])


def options(path: Path, **given: Any) -> Scenario:
    return load(path, from_options(**given))


def test_options_that_are_not_given_change_nothing(path: Path) -> None:
    assert from_options() == []
    assert options(path, model=()) == load(path)


def test_load_options(path: Path) -> None:
    got = options(
        path, concurrency="8", requests=100, duration="1m", warmup="0", ramp="1s", seed=9, max_cost=2.5
    )
    assert (got.load.concurrency, got.load.requests, got.load.duration_ns) == (8, 100, 60 * 10**9)
    assert (got.load.warmup_ns, got.load.ramp_ns, got.seed) == (0, 10**9, 9)
    assert got.budget.max_usd == 2.5


BURSTY = """
name = "s"
[[targets]]
name = "a"
model = "m"
[load]
rate = "20/s"
levels = ["10/s", "20/s"]
arrivals = "gamma"
burstiness = 0.5
max_in_flight = 50
ramp = "1s"
duration = "5s"
"""


def test_an_option_that_says_how_to_load_replaces_what_the_file_says(path: Path) -> None:
    load_of = options(path, rate="5/s").load
    assert (load_of.mode, load_of.rate_per_s, load_of.concurrency) == ("rate", 5.0, None)
    path.write_text(BURSTY)
    load_of = options(path, rate="7").load
    assert (load_of.rate_per_s, load_of.levels, load_of.arrivals) == (7.0, (), "gamma")
    load_of = options(path, concurrency=3).load
    assert load_of == Load(concurrency=3, ramp_ns=10**9, duration_ns=5 * 10**9)  # type: ignore[arg-type]


def test_a_set_that_says_how_to_load_replaces_what_the_file_says(path: Path) -> None:
    path.write_text(BURSTY)
    stages = [{"time": "5s", "from": 5}]
    assert load(path, [("load.stages", stages)]).load.mode == "stages"
    got = load(path, [parse_set("load.burst.size=9"), parse_set("load.burst.every=2s")]).load
    assert (got.burst, got.max_in_flight) == (Burst(size=9, every_ns=2 * 10**9), 50)  # type: ignore[arg-type]
    assert load(path, [("load.one_at_a_time", False)]).load.mode == "rate"
    assert load(path, [parse_set("load.levels=['1/s']"), ("--rate", 9)]).load.levels == (1.0,)


def test_two_overrides_that_say_how_to_load_clash(path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        options(path, rate=7, concurrency=3)
    assert str(caught.value) == ("--rate: says how to load, and so does load.concurrency; leave one of them")


def test_base_url_sends_every_target_there_with_its_own_model(path: Path) -> None:
    got = options(path, base_url="http://127.0.0.1:8000/v1", api_key_env="MINE").targets
    assert [t.base_url for t in got] == ["http://127.0.0.1:8000/v1"] * 2
    assert [(t.name, t.model) for t in got] == [("gpt-5.5", "gpt-5.5"), ("ours", "qwen")]
    assert [t.api_key_env for t in got] == ["MINE"] * 2


@pytest.mark.parametrize("base_url", [None, "http://127.0.0.1:8000/v1"])
def test_model_makes_one_target_each_after_the_first(path: Path, base_url: str | None) -> None:
    first = load(path).targets[0]
    got = options(path, base_url=base_url, model=("x", "org/y")).targets
    assert [(t.name, t.model) for t in got] == [("x", "x"), ("org/y", "org/y")]
    assert [t.base_url for t in got] == [base_url or first.base_url] * 2
    assert all(t.timeouts == first.timeouts and t.api_key_env == "ONE" for t in got)


def test_model_needs_no_target_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\n[load]\nrequests = 1\n')
    assert [t.name for t in options(path, model=["m"]).targets] == ["m"]


def test_base_url_env_by_option_brings_the_key(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://h/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    got = options(path, base_url="env").targets
    assert [(t.base_url, t.api_key_env) for t in got] == [
        ("http://h/v1", "ONE"),
        ("http://h/v1", "OPENAI_API_KEY"),
    ]


def test_base_url_by_option_takes_no_default_key_along(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    path.write_text(SCENARIO.replace("https://one.example/v1", "env").replace('api_key_env = "ONE"', ""))
    assert [t.api_key_env for t in options(path, base_url="http://h/v1").targets] == [None, None]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"concurrency": "x"}, '--concurrency: "x" is not a count'),
        ({"concurrency": 0}, "--concurrency: 0 is out of range"),
        ({"rate": "x"}, '--rate: "x" is not a rate; write it like "20/s"'),
        ({"rate": 0}, "--rate: 0 is not above 0"),
        ({"requests": "1.5"}, '--requests: "1.5" is not a whole number'),
        ({"duration": "30"}, '--duration: "30" has no unit; write it like "30s"'),
        ({"warmup": "-1s"}, '--warmup: "-1s" is negative'),
        ({"ramp": "soon"}, '--ramp: "soon" is not a duration'),
        ({"seed": -1}, "--seed: -1 is out of range"),
        ({"max_cost": 0.0}, "--max-cost: is 0, and every request costs something"),
        ({"max_cost": -1.0}, "--max-cost: -1.0 is out of range"),
        ({"max_cost": float("nan")}, "--max-cost: nan is out of range"),
        ({"base_url": "h/v1"}, '--base-url: "h/v1" does not begin with http'),
        ({"api_key_env": "sk-1"}, "--api-key-env: the value is not the name of an environment variable"),
        ({"model": ["a", "a"]}, '--model: "a" is the name of targets[0] too'),
    ],
    ids=str,
)
def test_a_mistake_of_an_option_names_it_once(path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        options(path, **given)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(says)


def test_a_mistake_copied_by_model_is_told_once_where_the_file_has_it(path: Path) -> None:
    path.write_text(SCENARIO.replace('"20s"', '"20"'))
    with pytest.raises(ScenarioError) as caught:
        options(path, model=["a", "b"])
    assert str(caught.value).splitlines() == [
        'targets[0].timeouts.total: "20" has no unit; write it like "20s" or "20ms"'
    ]


def test_later_overrides_win_and_tables_are_made() -> None:
    raw: dict[str, Any] = {}
    applied = apply(raw, [("load.requests", 1), ("--requests", 2), ("a.b.c", 3), ("load.requests", 4)])
    assert raw == {"load": {"requests": 4}, "a": {"b": {"c": 3}}}
    assert applied.problems == []


def test_an_override_that_is_no_key_path_is_a_problem_like_the_others(path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(path, [("load.", 1), ("load.concurrency", 0)])
    assert [p.place for p in caught.value.problems] == ["--set load.", "--set load.concurrency"]
