"""A dumped scenario reads back equal."""

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.dump import to_toml
from loadgen.scenario.lengths import (
    Constant,
    ConstantTime,
    Count,
    Duration,
    Empirical,
    ExponentialTime,
    FilePath,
    Lognormal,
    LognormalTime,
    Normal,
    Tokens,
    Uniform,
    UniformTime,
)
from loadgen.scenario.load import load
from loadgen.scenario.model import FromEnv, ReportOptions, Scenario, SessionKey, Target, Timeouts
from loadgen.scenario.rules_load import UNTIL_METRICS
from loadgen.scenario.traffic import (
    Burst,
    ErrorStop,
    Level,
    Load,
    Rate,
    RateOrZero,
    Share,
    Stage,
    Trace,
    Until,
)
from loadgen.scenario.words import SharedPrefix, Tool, Workload
from loadgen.units import LONGEST_NS, MOST_PER_S

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
    context_tokens=st.none() | counts,
    session=st.sampled_from([None, SessionKey(header="x-7"), SessionKey(field="user_id")]),
)
some_times = st.tuples(timeouts, timeouts).map(sorted)
times = st.one_of(
    durations.map(ConstantTime),
    some_times.map(lambda p: UniformTime(*p)),
    st.builds(ExponentialTime, durations, st.none() | durations),
    st.builds(lambda p, most: LognormalTime(p[0], p[1], most), some_times, st.none() | durations),
)
tools = st.builds(
    Tool,
    name=some,
    description=text,
    parameters=st.dictionaries(text, json, max_size=2),
    result=text,
)
made = st.builds(
    Workload,
    source=st.sampled_from(["code", "prose", "synthetic"]),
    weight=st.floats(0.1, 1e6),
    task=some,
    system=st.none() | some,
    prompt_tokens=st.none() | lengths,
    output_tokens=lengths,
    ignore_eos=st.booleans(),
    shared_prefix=st.none()
    | st.builds(
        SharedPrefix, prefixes=st.integers(1, 500).map(Count), tokens=st.integers(1, 100_000).map(Tokens)
    ),
    salt=st.booleans() | some,
    too_long=st.sampled_from(["skip", "clip", "fail"]),
    turns=st.integers(1, 1000).map(Tokens).map(Constant),
    think_time=st.none() | times,
    tools=st.lists(tools, max_size=2, unique_by=lambda t: t.name).map(tuple),
    chars_per_token=st.none() | st.floats(0.1, 9),
)
from_file = st.builds(
    Workload,
    source=st.sampled_from(["jsonl", "sharegpt"]),
    file=st.just(FILE),
    on_end=st.sampled_from(["cycle", "stop"]),
    history=st.sampled_from(["answers", "recorded"]),
    tokenizer=st.none() | st.just(FILE),
)
inline = st.builds(
    Workload, source=st.just("prompts"), prompts=st.lists(some, min_size=1, max_size=2).map(tuple)
)
mixtures = st.lists(made | from_file | inline, min_size=1, max_size=3).map(tuple)
rates = st.floats(0, MOST_PER_S, exclude_min=True).map(Rate)
rates_or_zero = st.floats(0, MOST_PER_S).map(RateOrZero)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True).map(Share)
laws = st.sampled_from(["constant", "poisson"])
ends = {
    "warmup_ns": durations,
    "duration_ns": timeouts,
    "requests": st.none() | counts,
    "grace_ns": durations,
    "stop_at_errors": st.none() | st.builds(ErrorStop, share=shares, over_ns=timeouts),
}
until = st.builds(
    Until,
    metric=st.sampled_from(UNTIL_METRICS),
    percentile=st.floats(0, 100, exclude_min=True, exclude_max=True),
    relative=shares,
)
untils = {"until": st.lists(until, max_size=2).map(tuple)}
caps = st.fixed_dictionaries({"max_in_flight": counts, "over_cap": st.sampled_from(["delay", "drop"])})
open_keys: st.SearchStrategy[dict[str, Any]] = st.just({}) | caps
gamma = {"arrivals": st.just("gamma"), "burstiness": st.floats(0.01, 9)}
some_stages = st.lists(
    st.builds(
        Stage,
        time_ns=timeouts,
        from_per_s=rates.map(RateOrZero),
        to_per_s=st.none() | rates_or_zero,
        arrivals=st.none() | laws,
    ),
    min_size=1,
    max_size=3,
).map(tuple)
count_levels = st.lists(st.integers(1, 1_000_000).map(Level), min_size=1, max_size=3).map(tuple)
rate_levels = st.lists(rates.map(Level), min_size=1, max_size=3).map(tuple)


def with_keys(
    keys: st.SearchStrategy[dict[str, Any]], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Load]:
    """Loads of the given keys, some of which come together."""
    return st.builds(lambda some, rest: Load(**some, **rest), keys, st.fixed_dictionaries(more))


loads = st.one_of(
    st.builds(Load, concurrency=counts, ramp_ns=durations, **ends, **untils),
    st.builds(Load, users=counts, ramp_ns=durations, **ends, **untils),
    st.builds(Load, one_at_a_time=st.just(value=True), **ends, **untils),
    st.builds(lambda n, d: Load(users=Count(n[0]), levels=n, duration_ns=d), count_levels, timeouts),
    st.builds(lambda n, d: Load(rate_per_s=Rate(n[0]), levels=n, duration_ns=d), rate_levels, timeouts),
    with_keys(open_keys, rate_per_s=rates, arrivals=laws, ramp_ns=durations, **ends, **untils),
    with_keys(open_keys, rate_per_s=rates, **gamma, **ends),
    with_keys(open_keys, stages=some_stages, requests=st.none() | counts),
    with_keys(open_keys, burst=st.builds(Burst, size=counts, every_ns=st.none() | timeouts), **ends),
)
traces = st.builds(
    Scenario,
    name=st.just("t"),
    targets=st.lists(targets, min_size=1, max_size=1).map(tuple),
    workloads=st.sampled_from(["mooncake", "azure", "burstgpt", "jsonl"]).map(
        lambda source: (Workload(source=source, file=FILE),)  # type: ignore[arg-type]
    ),
    load=with_keys(
        open_keys,
        trace=st.builds(
            Trace,
            speed=st.floats(0.1, 1e6),
            start_ns=durations,
            length_ns=st.none() | timeouts,
            repeat=counts,
        ),
        requests=st.none() | counts,
    ),
)
scenarios = st.builds(
    Scenario,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True),
    description=text,
    seed=st.integers(0, 2**63 - 1),
    targets=st.lists(targets, min_size=1, max_size=2, unique_by=lambda t: t.name).map(tuple),
    workloads=mixtures,
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


@given(scenarios | traces)
def test_a_dumped_scenario_reads_back_equal(scenario: Scenario) -> None:
    assert again(scenario) == scenario


@pytest.mark.parametrize("name", sorted(path.stem for path in SCENARIOS.glob("*.toml")))
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
