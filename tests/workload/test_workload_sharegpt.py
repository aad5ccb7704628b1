"""ShareGPT files: conversations by turns, what is left out, what is wrong, and that it stays on the disk."""

import json
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.words import Workload
from loadgen.workload import sharegpt
from loadgen.workload.sharegpt import ShareGptPrompts


def chat(*said: tuple[str, str]) -> dict[str, Any]:
    return {"id": "x", "conversations": [{"from": who, "value": text} for who, text in said]}


TWO = chat(("human", "q1"), ("gpt", "a1"), ("human", "q2 é😀"), ("gpt", "a2"))


def write(tmp_path: Path, content: Any) -> FilePath:
    path = tmp_path / "chats.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return FilePath(path)


def read(
    tmp_path: Path,
    content: Any,
    history: Literal["answers", "recorded"] = "answers",
    on_end: Literal["cycle", "stop"] = "cycle",
) -> ShareGptPrompts:
    file = write(tmp_path, content)
    return ShareGptPrompts(Workload(source="sharegpt", file=file, history=history, on_end=on_end), 7)


def turns(prompts: ShareGptPrompts, session: int) -> list[tuple[list[tuple[str, str]], str | None]]:
    return [
        (
            [(m["role"], m["content"]) for m in turn.messages],
            turn.answer[0]["content"] if turn.answer else None,
        )
        for turn in prompts.conversation(session).turns
    ]


GOOD: dict[str, tuple[Any, list[tuple[list[tuple[str, str]], str | None]]]] = {
    "two turns": (TWO, [([("user", "q1")], "a1"), ([("user", "q2 é😀")], "a2")]),
    "the last without an answer": (
        chat(("user", "q1"), ("assistant", "a1"), ("user", "q2")),
        [([("user", "q1")], "a1"), ([("user", "q2")], None)],
    ),
    "system": (
        chat(("system", "s"), ("human", "q"), ("gpt", "a")),
        [([("system", "s"), ("user", "q")], "a")],
    ),
    "begins with an answer": (
        chat(("gpt", "a0"), ("human", "q"), ("chatgpt", "a")),
        [([("user", "q")], "a")],
    ),
}


@pytest.mark.parametrize(("record", "expected"), GOOD.values(), ids=GOOD.keys())
def test_turns_and_recorded_answers(tmp_path: Path, record: Any, expected: Any) -> None:
    prompts = read(tmp_path, [record], "recorded")
    assert turns(prompts, 0) == expected
    assert turns(prompts, 1) == expected
    assert prompts.set_aside == {}
    own = read(tmp_path, [record])
    assert turns(own, 0) == [(said, None) for said, _ in expected]


ODD: dict[str, Any] = {
    "nothing": chat(),
    "one message": chat(("human", "q")),
    "no human": chat(("gpt", "a"), ("gpt", "b")),
    "no answer": chat(("system", "s"), ("human", "q")),
    "an answer and a question": chat(("gpt", "a"), ("human", "q")),
    "two questions in a row": chat(("human", "q"), ("human", "r"), ("gpt", "a")),
    "two answers in a row": chat(("human", "q"), ("gpt", "a"), ("gpt", "b")),
    "says nothing": chat(("human", "q"), ("gpt", " ")),
    "somebody else": chat(("human", "q"), ("function_call", "{}")),
    "system in the middle": chat(("human", "q"), ("gpt", "a"), ("system", "s")),
}


@pytest.mark.parametrize("record", ODD.values(), ids=ODD.keys())
def test_odd_ones_are_left_out_and_counted(tmp_path: Path, record: Any) -> None:
    prompts = read(tmp_path, [record, TWO, record], on_end="stop")
    assert prompts.set_aside == {"unusable": 2}
    assert prompts.count == 1
    assert turns(prompts, 0)[0][0] == [("user", "q1")]
    with pytest.raises(IndexError):
        prompts.conversation(1)


def test_half_a_surrogate_pair_is_left_out(tmp_path: Path) -> None:
    broken = json.dumps(chat(("human", "\ud800"), ("gpt", "a")))
    prompts = read(tmp_path, f"[{broken}, {json.dumps(TWO)}]".encode())
    assert prompts.set_aside == {"unusable": 1}
    assert len(turns(prompts, 0)) == 2


LAYOUTS = {
    "one line": json.dumps([TWO, TWO]),
    "compact": json.dumps([TWO, TWO], separators=(",", ":")),
    "indented": json.dumps([TWO, TWO], indent=4),
    "not ASCII": json.dumps([TWO, TWO], ensure_ascii=False),
    "CRLF": json.dumps([TWO, TWO], indent=1).replace("\n", "\r\n") + "\r\n",
    "BOM": "\ufeff \n" + json.dumps([TWO, TWO]) + "\n\n",
}


@pytest.mark.parametrize("window_bytes", [1, 7, 4 << 20])
@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts_and_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, window_bytes: int
) -> None:
    monkeypatch.setattr(sharegpt, "_WINDOW_BYTES", window_bytes)
    prompts = read(tmp_path, text.encode(), "recorded", "stop")
    assert prompts.count == 2
    assert turns(prompts, 0) == turns(prompts, 1) == GOOD["two turns"][1]


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"json: is empty; it should be one list of"),
    "blank": (b" \n", r"json:1: does not begin with a list"),
    "an object": (b'{"conversations": []}', r"json:1: does not begin with a list"),
    "an empty list": (b"[ ]", "json: holds no conversation of a human and a model"),
    "all odd": (json.dumps([chat()]).encode(), "json: holds no conversation"),
    "cut in a conversation": (
        b"[\n{}".replace(b"}", b'"conver'),
        r"json:2: is not JSON \(Unterminated string",
    ),
    "cut in a word": (b'[\n\n{"a": tru', r"json:3: is not JSON \(Expecting value"),
    "cut after one": (b'[\n{"conversations": []}\n', r"json:2: ends before its list does"),
    "cut after a comma": (b'[{"conversations": []},\n', r"json:2: ends before its list does"),
    "no comma": (b'[{"conversations": []}\n{}]', r"json:1: has no comma after a conversation"),
    "goes on": (b'[{"conversations": []}]\n[]', r"json:2: goes on after the list"),
    "not JSON": (b'[{"a": 1,\n "b": x}' + b" " * 50 + b"]", r"json:2: is not JSON \(Expecting value"),
    "nested too deep": (b"[" * 200_000, "json:1: is not JSON .nested too deep"),
    "Latin-1": (
        b'[\n{"conversations": [{"from": "human", "value": "caf\xe9"}]}]',
        "json:2: 'utf-8' codec can't decode byte 0xe9",
    ),
    "a string": (b'["a"]', r"json:1: is a string without a list of `conversations`"),
    "other keys": (b'[{"messages": []}]', "json:1: is an object without a list of `conversations`"),
    "other message": (
        b'[{"conversations": [{"role": "user", "content": "a"}]}]',
        r"json:1: `conversations\[0\]` has no text `from` and `value`",
    ),
    "value a number": (
        b'[{"conversations": [{"from": "human", "value": 1}]}]',
        r"json:1: `conversations\[0\]` has no text",
    ),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named_by_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_ten_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        read(tmp_path, json.dumps([[]] * 30, indent=0).replace(" ", "").encode())
    assert len(raised.value.problems) == 10


def test_the_file_stays_on_the_disk(tmp_path: Path) -> None:
    text = "x" * 4000
    records = [chat(("human", f"{n} {text}"), ("gpt", "a")) for n in range(5000)]  # 20 MB
    write(tmp_path, records)
    tracemalloc.start()
    try:
        prompts = read(tmp_path, (tmp_path / "chats.json").read_bytes())
        tracemalloc.reset_peak()
        prompts = ShareGptPrompts(Workload(source="sharegpt", file=FilePath(tmp_path / "chats.json")), 7)
        now_bytes, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now_bytes < 1_000_000
    assert peak_bytes < 15_000_000
    assert turns(prompts, 4321)[0][0][0][1].startswith("4321 ")


def test_a_file_cut_during_the_run_is_an_error_not_a_crash(tmp_path: Path) -> None:
    prompts = read(tmp_path, [TWO] * 1000)
    (tmp_path / "chats.json").write_bytes(b"")
    with pytest.raises(DataError, match="became shorter during the run"):
        prompts.conversation(999)
