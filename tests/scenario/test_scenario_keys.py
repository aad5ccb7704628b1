"""Key paths: read, written, and the nearest known key."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import nearest
from loadgen.scenario.keys import Key, parse, text_of
from tests.scenario.written import lines_of, scenario

PARTS = st.one_of(st.text(), st.integers(0, 999_999_999))


@pytest.mark.parametrize(
    ("text", "key", "rest"),
    [
        ("load.concurrency=20", ("load", "concurrency"), "=20"),
        ("targets[0].timeouts.total", ("targets", 0, "timeouts", "total"), ""),
        ('targets."gpt-5.5".model = x', ("targets", "gpt-5.5", "model"), " = x"),
        ("targets.'a=b'.model=x", ("targets", "a=b", "model"), "=x"),
        ("targets.meta-llama/Llama-3:free.model=x", ("targets", "meta-llama/Llama-3:free", "model"), "=x"),
        ('headers."a\\"b"=x', ("headers", 'a"b'), "=x"),
        ("a[1][2]=", ("a", 1, 2), "="),
        ("a..b=1", ("a",), "..b=1"),
        ("a.[0]=1", ("a",), ".[0]=1"),
        ('a"b"=1', ("a",), '"b"=1'),
    ],
)
def test_parse(text: str, key: Key, rest: str) -> None:
    assert parse(text) == (key, rest)


@pytest.mark.parametrize("text", ["", "=1", ".a=1", "[0]=1", " a", '"open'])
def test_what_is_no_key_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a key"):
        parse(text)


@given(st.text(), st.lists(PARTS))
def test_a_written_key_path_reads_back(first: str, rest: list[str | int]) -> None:
    key = (first, *rest)
    assert parse(text_of(key)) == (key, "")


@pytest.mark.parametrize(
    ("word", "says"),
    [("concurency", 'did you mean "concurrency"?'), ("zzz", "choose from concurrency, ramp")],
)
def test_nearest(word: str, says: str) -> None:
    assert nearest(word, ["concurrency", "ramp"]) == says


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("targets[0].url", "base_url"),
        ("workload.max_tokens", "output_tokens"),
        ("workload.max_completion_tokens", "output_tokens"),
        ("workload.max_output_tokens", "output_tokens"),
        ("workload.input_tokens", "prompt_tokens"),
        ("load.qps", "rate"),
        ("load.rps", "rate"),
        ("load.request_rate", "rate"),
        ("slo.ttft_p95", "ttft.p95"),
        ("slo.e2e_from_plan_p99", "e2e_from_plan.p99"),
        ("url", "targets[].base_url"),
        ("targets[0].max_tokens", "workload.output_tokens"),
        ("workload.qps", "load.rate"),
    ],
)
def test_words_of_other_tools_are_known(tmp_path: Path, key: str, meant: str) -> None:
    (line,) = lines_of(scenario(tmp_path), (key, 5))
    assert line == f'--set {key}: unknown key; did you mean "{meant}"?'
