"""A dumped scenario reads back equal."""

import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.scenario.dump import to_toml
from loadgen.scenario.lengths import Constant, Empirical, Lognormal, Normal, Tokens, Uniform
from loadgen.scenario.load import load
from loadgen.scenario.model import (
    Count,
    Duration,
    FilePath,
    FromEnv,
    Load,
    ReportOptions,
    Scenario,
    Target,
    Timeouts,
    Workload,
)
from loadgen.units import LONGEST_NS

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILE = FilePath(__file__)  # any file that exists

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
printable = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=8)
counts = st.integers(1, 1_000_000).map(Count)
tokens = st.integers(1, 100_000_000).map(Tokens)
durations = st.integers(0, LONGEST_NS).map(Duration)
timeouts = st.integers(1, LONGEST_NS).map(Duration)
weights = st.floats(0, 1e6) | st.integers(0, 9).map(float)
variables = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True).map(FromEnv)
pairs = st.tuples(tokens, tokens).map(sorted)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json = st.recursive(
    st.booleans() | numbers | text, lambda x: st.lists(x, max_size=3) | st.dictionaries(text, x, max_size=3)
)
lengths = st.one_of(
    tokens.map(Constant),
    pairs.map(lambda p: Uniform(*p)),
    st.builds(lambda mean, sd, p: Normal(mean, sd, *p), tokens, weights, pairs),
    st.builds(lambda p, low: Lognormal(p[0], p[1], min=low), pairs, tokens),
    st.lists(st.tuples(tokens, weights), min_size=1, max_size=3).map(
        lambda rows: Empirical(tuple(t for t, _ in rows), (*[w + 1 for _, w in rows],))
    ),
    st.lists(tokens, min_size=1, max_size=3).map(lambda values: Empirical(tuple(values))),
)
targets = st.builds(
    Target,
    name=printable,
    model=some,
    base_url=st.sampled_from([None, "http://h", "https://llm.example.com:1/v1", "http://[::1]:80/a/v1"]),
    api_key_env=st.none() | variables.map(lambda v: v.env),
    headers=st.dictionaries(
        st.from_regex(r"x-[a-z]{1,5}", fullmatch=True), st.sampled_from(["", "ä b\t"]) | variables
    ),
    query=st.dictionaries(st.from_regex(r"q [ü.]{1,5}", fullmatch=True), text | variables),
    extra_body=st.dictionaries(text.filter(lambda k: k not in {"stream", "messages"}), json, max_size=3),
    ca_file=st.sampled_from([None, FILE]),
    timeouts=st.builds(
        Timeouts, connect_ns=timeouts, first_token_ns=timeouts, between_tokens_ns=timeouts, total_ns=timeouts
    ),
    max_connections=st.none() | counts,
)
code = st.builds(
    Workload,
    task=some,
    prompt_tokens=st.none() | lengths,
    output_tokens=st.none() | lengths,
    salt=st.booleans() | some,
)
jsonl = st.builds(
    Workload, source=st.just("jsonl"), file=st.just(FILE), on_end=st.sampled_from(["cycle", "stop"])
)
loads = st.builds(
    Load,
    concurrency=counts,
    ramp_ns=durations,
    warmup_ns=durations,
    duration_ns=timeouts,
    requests=st.none() | counts,
    grace_ns=durations,
)
scenarios = st.builds(
    Scenario,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
    description=text,
    seed=st.integers(0, 2**63 - 1),
    targets=st.lists(targets, min_size=1, max_size=2, unique_by=lambda t: t.name).map(tuple),
    workload=code | jsonl,
    load=loads,
    report=st.builds(
        ReportOptions, formats=st.sampled_from([(), ("csv",)]), labels=st.dictionaries(text, text, max_size=2)
    ),
)


def again(scenario: Scenario) -> Scenario:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.toml"
        path.write_bytes(to_toml(scenario).encode())
        return load(path)


@settings(deadline=None)
@given(scenarios)
def test_a_dumped_scenario_reads_back_equal(scenario: Scenario) -> None:
    assert again(scenario) == scenario


@pytest.mark.parametrize("name", ["code_completion", "prompts"])
def test_a_shipped_scenario_reads_back_equal_from_another_folder(name: str) -> None:
    scenario = load(SCENARIOS / f"{name}.toml")
    assert again(scenario) == scenario


def test_the_text_is_exact_and_keeps_references() -> None:
    scenario = load(
        SCENARIOS / "prompts.toml", [("targets[0].headers.x", {"env": "KEY"}), ("load.ramp", "1500ms")]
    )
    written = tomllib.loads(to_toml(scenario))
    assert written["targets"][0]["headers"] == {"x": {"env": "KEY"}}
    assert written["load"]["ramp"] == "1s500ms"
    assert written["load"]["warmup"] == "0s"
    assert written["workload"]["file"] == str(SCENARIOS / "data" / "prompts.jsonl")
    assert "base_url" not in written["targets"][0]
