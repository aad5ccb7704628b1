"""Key paths: read, written, and the nearest known key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import nearest
from loadgen.scenario.keys import Key, parse, text_of

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
