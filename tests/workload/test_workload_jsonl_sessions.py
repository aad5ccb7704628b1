"""Lines that belong together, that came at a time, or that are sent as they are."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import Constant, FilePath, Tokens
from loadgen.scenario.words import Workload
from loadgen.workload.jsonl import JsonlPrompts
from loadgen.workload.prompt import Conversation, Message
from loadgen.workload.source import open_prompts

History = Literal["answers", "recorded"]
MS = 1_000_000


def read(
    tmp_path: Path,
    *lines: Any,
    history: History = "answers",
    on_end: Literal["cycle", "stop"] = "stop",
) -> JsonlPrompts:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return JsonlPrompts(Workload(source="jsonl", file=FilePath(path), history=history, on_end=on_end), 7)


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def model(text: str) -> Message:
    return {"role": "assistant", "content": text}


def said(conversation: Conversation) -> list[list[str]]:
    return [[message["content"] for message in turn.messages] for turn in conversation.turns]


def test_lines_of_one_session_are_its_turns(tmp_path: Path) -> None:
    prompts = read(
        tmp_path,
        {"session_id": "a", "prompt": "a1", "max_tokens": 5, "task": "chat"},
        {"session_id": 7, "prompt": "b1"},
        {"prompt": "alone"},
        {"session_id": "a", "prompt": "a2", "max_tokens": 6},
        {"session_id": "7", "prompt": "c1"},
        {"session_id": 7, "prompt": "b2"},
        {"session_id": "a", "prompt": "a3"},
    )
    assert prompts.count == 4
    assert [said(prompts.conversation(n)) for n in range(4)] == [
        [["a1"], ["a2"], ["a3"]],
        [["b1"], ["b2"]],
        [["alone"]],
        [["c1"]],
    ]
    first = prompts.conversation(0)
    assert first.task == "chat"
    assert [turn.asked_output_tokens for turn in first.turns] == [5, 6, None]
    assert all(turn.answer is None for turn in first.turns)


def test_sessions_come_again(tmp_path: Path) -> None:
    lines = [{"session_id": n % 2, "prompt": str(n)} for n in range(4)]
    prompts = read(tmp_path, *lines, on_end="cycle")
    assert prompts.count is None
    assert [said(prompts.conversation(n)) for n in (0, 1, 2, 7)] == [
        [["0"], ["2"]],
        [["1"], ["3"]],
        [["0"], ["2"]],
        [["1"], ["3"]],
    ]


LINES = (
    {"session_id": 1, "messages": [{"role": "system", "content": "s"}, user("q1"), model("r1")]},
    {"session_id": 1, "prompt": "q2", "answer": "r2"},
    {"session_id": 1, "prompt": "q3"},
)


def test_recorded_answers_are_quoted(tmp_path: Path) -> None:
    turns = read(tmp_path, *LINES, history="recorded").conversation(0).turns
    assert said(Conversation("", turns)) == [["s", "q1"], ["q2"], ["q3"]]
    assert [turn.answer for turn in turns] == [[model("r1")], [model("r2")], None]


def test_recorded_answers_are_not_said_where_the_model_gives_its_own(tmp_path: Path) -> None:
    turns = read(tmp_path, *LINES).conversation(0).turns
    assert said(Conversation("", turns)) == [["s", "q1"], ["q2"], ["q3"]]
    assert [turn.answer for turn in turns] == [None] * 3


def test_a_missing_recorded_answer_is_named(tmp_path: Path) -> None:
    lines = [
        {"session_id": 1, "prompt": "q1"},
        {"session_id": 2, "prompt": "p1"},
        {"session_id": 1, "prompt": "q2"},
    ]
    with pytest.raises(DataError, match=r"jsonl:1: has no recorded answer.*; add an `answer`"):
        read(tmp_path, *lines, history="recorded")
    assert read(tmp_path, *lines).count == 2


CALL: Message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]}
RESULT: Message = {"role": "tool", "tool_call_id": "c", "content": "21 degrees"}
RECORDED = [user("weather?"), CALL, RESULT, model("warm"), user("thanks"), user("bye")]


def test_a_recorded_conversation_is_sent_request_by_request(tmp_path: Path) -> None:
    turns = read(tmp_path, {"messages": RECORDED, "max_tokens": 9}, history="recorded").conversation(0).turns
    assert [(turn.messages, turn.answer) for turn in turns] == [
        ([user("weather?")], [CALL]),
        ([RESULT], [model("warm")]),
        ([user("thanks"), user("bye")], None),
    ]
    assert [turn.asked_output_tokens for turn in turns] == [9, 9, 9]


def test_without_it_the_line_is_sent_as_it_is(tmp_path: Path) -> None:
    (turn,) = read(tmp_path, {"messages": [*RECORDED, model("prefix of")]}).conversation(0).turns
    assert turn.messages == [*RECORDED, model("prefix of")]


def test_a_greeting_answers_nothing(tmp_path: Path) -> None:
    line = {
        "messages": [{"role": "system", "content": "s"}, model("hello!"), user("q"), model("r"), user("p")]
    }
    turns = read(tmp_path, line, history="recorded").conversation(0).turns
    assert said(Conversation("", turns)) == [["s", "hello!", "q"], ["p"]]
    assert turns[0].answer == [model("r")]


BODY = {
    "stream": True,
    "messages": [user("q")],
    "max_completion_tokens": 12,
    "temperature": 0,
    "x": {"y": None},
}


@pytest.mark.parametrize("history", ["answers", "recorded"])
def test_a_body_is_given_as_it_is(tmp_path: Path, history: History) -> None:
    lines = [{"body": BODY, "session_id": 1}, {"body": {**BODY, "model": "m"}, "session_id": 1}]
    turns = read(tmp_path, *lines, history=history).conversation(0).turns
    assert [turn.body for turn in turns] == [BODY, {**BODY, "model": "m"}]
    assert [(turn.messages, turn.asked_output_tokens) for turn in turns] == [([], 12)] * 2


def test_a_scenario_changes_nothing_of_a_body(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"body": BODY, "session_id": 1}) + "\n" for _ in range(2)))
    workload = Workload(
        source="jsonl",
        file=FilePath(path),
        salt="a1b2c3d4",
        system="Be brief.",
        output_tokens=Constant(Tokens(5)),
    )
    for turn in open_prompts([workload], 7).conversation(0, 0).turns:
        assert (turn.messages, turn.body, turn.asked_output_tokens) == ([], BODY, 12)


TIMES: dict[str, tuple[list[Any], list[int]]] = {
    "seconds": ([5, 5, 5.25, 7.000001], [0, 0, 250 * MS, 2_000 * MS + 1000]),
    "since 1970": ([1_700_000_000, 1_700_000_000.5], [0, 500 * MS]),
    "below zero": ([-1.5, 0, 2], [0, 1500 * MS, 3500 * MS]),
    "ISO": (
        ["2023-11-16 18:17:03.9799600", "2023-11-16T18:17:04.979960001Z", "2023-11-16T19:17:05+01:00"],
        [0, 1_000 * MS + 1, 1_020_040_000],
    ),
    "over a leap day": (["2024-02-28T23:59:59Z", "2024-03-01T00:00:00"], [0, 86_401_000 * MS]),
}


@pytest.mark.parametrize(("times", "expected"), TIMES.values(), ids=TIMES.keys())
def test_times_become_nanoseconds_since_the_first(
    tmp_path: Path, times: list[Any], expected: list[int]
) -> None:
    prompts = read(tmp_path, *({"prompt": "a", "timestamp": at} for at in times))
    assert prompts.arrivals_ns is not None
    assert prompts.arrivals_ns.tolist() == expected


def test_a_session_arrives_with_its_first_line(tmp_path: Path) -> None:
    prompts = read(
        tmp_path,
        {"prompt": "a1", "session_id": "a", "timestamp": 10},
        {"prompt": "a2", "session_id": "a", "timestamp": 90},
        {"prompt": "b1", "session_id": "b", "timestamp": 20},
        {"prompt": "b2", "session_id": "b"},
    )
    assert prompts.arrivals_ns is not None
    assert prompts.arrivals_ns.tolist() == [0, 10_000 * MS]


def test_no_times_no_arrivals(tmp_path: Path) -> None:
    assert read(tmp_path, {"prompt": "a"}).arrivals_ns is None


WRONG_TIMES: dict[str, tuple[list[Any], str]] = {
    "out of order": ([3, 4, 2.5], r":3: begins 1.5 s before the session of line 2; sort the file by time"),
    "a long time ago": (
        ["9999-01-01T00:00:00", "0001-01-01T00:00:00", "0001-01-01T00:00:01"],
        ":2: begins .* s before the session of line 1",
    ),
    "one missing": ([3, None], ":2: has no `timestamp`, but lines above have one"),
    "one given": ([None, 3], ":2: has a `timestamp`, but lines above have none"),
    "centuries": (["1990-01-01T00:00:00", "2200-01-01T00:00:00"], ":2: is more than ten years after"),
}
NO_TIMES: dict[str, tuple[list[Any], str]] = {
    "no such day": (["2023-02-29T00:00:00"], ':1: `timestamp` "2023-02-29" is not a day'),
    "no such hour": (["2023-02-20T24:00:00"], ":1: `timestamp` .* is not a time of day"),
}


@pytest.mark.parametrize(("times", "message"), WRONG_TIMES.values(), ids=WRONG_TIMES.keys())
def test_wrong_times_are_named_where_times_are_asked_for(
    tmp_path: Path, times: list[Any], message: str
) -> None:
    prompts = read(tmp_path, *({"prompt": str(n), "timestamp": at} for n, at in enumerate(times)))
    assert prompts.conversation(len(times) - 1).turns[0].messages[0]["content"] == str(len(times) - 1)
    with pytest.raises(DataError, match=message):
        prompts.arrivals_ns  # noqa: B018  # that it raises


def test_a_session_out_of_place_is_no_mistake_of_all_that_follow(tmp_path: Path) -> None:
    prompts = read(tmp_path, *({"prompt": "a", "timestamp": at} for at in (0, 30, *range(1, 20), 9, 40)))
    with pytest.raises(DataError) as raised:
        prompts.arrivals_ns  # noqa: B018  # that it raises
    assert [(problem.place.rpartition(":")[2], problem.what) for problem in raised.value.problems] == [
        ("3", "begins 29 s before the session of line 2"),
        ("22", "begins 10 s before the session of line 21"),
    ]


@pytest.mark.parametrize(("times", "message"), NO_TIMES.values(), ids=NO_TIMES.keys())
def test_what_is_no_time_is_named(tmp_path: Path, times: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, *({"prompt": "a", "timestamp": at} for at in times))
