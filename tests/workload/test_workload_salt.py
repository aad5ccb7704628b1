"""The mark: at the very start, of one length for all, and never inside the source's own objects."""

import copy
from typing import Any

import pytest

from loadgen.workload.salt import salted

MARK = "[a1b2c3d4-0000002a-01] "
CASES: dict[str, tuple[Any, Any]] = {
    "text": ("hello", MARK + "hello"),
    "empty text": ("", MARK),
    "null": (None, MARK),
    "parts": (
        [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        [{"type": "text", "text": MARK + "a"}, {"type": "text", "text": "b"}],
    ),
    "image first": (
        [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "b"}],
        [
            {"type": "text", "text": MARK},
            {"type": "image_url", "image_url": {"url": "u"}},
            {"type": "text", "text": "b"},
        ],
    ),
    "no parts": ([], [{"type": "text", "text": MARK}]),
}


@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES.keys())
def test_the_mark_is_first(content: Any, expected: Any) -> None:
    messages = [{"role": "system", "name": "x", "content": content}, {"role": "user", "content": "q"}]
    before = copy.deepcopy(messages)
    marked = salted(messages, "a1b2c3d4", 42, 1)
    assert marked == [{"role": "system", "name": "x", "content": expected}, {"role": "user", "content": "q"}]
    assert messages == before


def test_a_message_without_content_gets_one() -> None:
    calls = {"role": "assistant", "tool_calls": [{}]}
    assert salted([calls], "a1b2c3d4", 42, 1) == [{**calls, "content": MARK}]


def test_marks_differ_and_have_one_length() -> None:
    places = [(session, target) for session in (0, 1, 9_999, 2**31) for target in (0, 1, 15, 16, 255)]
    marks = [salted([{"role": "user", "content": ""}], "ab", *place)[0]["content"] for place in places]
    assert len(set(marks)) == len(places)
    assert len({len(mark) for mark in marks}) == 1
