"""The user's own file: what it may hold, every way it can be broken, and that it stays on the disk."""

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.words import Workload
from loadgen.workload.jsonl import JsonlPrompts


def write(tmp_path: Path, content: bytes | str) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def read(path: str, on_end: Literal["cycle", "stop"] = "cycle", task: str = "completion") -> JsonlPrompts:
    return JsonlPrompts(Workload(source="jsonl", file=FilePath(path), on_end=on_end, task=task), 7)


def said(prompts: JsonlPrompts, n: int) -> list[Any]:
    return [prompts.conversation(session).turns[0].messages[0]["content"] for session in range(n)]


USER = {"role": "user", "content": "hi"}
GOOD: dict[str, tuple[Any, Any]] = {
    "prompt": ({"prompt": "a"}, ([{"role": "user", "content": "a"}], "completion", None)),
    "messages": ({"messages": [USER]}, ([USER], "completion", None)),
    "cap and task": ({"prompt": "a", "max_tokens": 9, "task": "t"}, ([{**USER, "content": "a"}], "t", 9)),
    "nulls": (
        {"prompt": "a", "messages": None, "max_tokens": None, "task": None},
        ([{**USER, "content": "a"}], "completion", None),
    ),
    "other keys": ({"id": 3, "meta": {"x": []}, "messages": [USER]}, ([USER], "completion", None)),
    "not ASCII": ({"prompt": "né 日本 😀"}, ([{**USER, "content": "né 日本 😀"}], "completion", None)),
    "parts": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}],
            "completion",
            None,
        ),
    ),
    "tool calls": (
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}]},
        ([USER, {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}], "completion", None),
    ),
    "tool calls alone": (
        {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}]},
        ([USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}], "completion", None),
    ),
}


@pytest.mark.parametrize(("record", "expected"), GOOD.values(), ids=GOOD.keys())
def test_a_good_line(tmp_path: Path, record: Any, expected: Any) -> None:
    conversation = read(write(tmp_path, json.dumps(record))).conversation(0)
    (turn,) = conversation.turns
    assert (turn.messages, conversation.task, turn.asked_output_tokens) == expected
    assert turn.asked_prompt_tokens is None


LAYOUTS = {
    "plain": b'{"prompt":"a"}\n{"prompt":"b"}\n',
    "no final newline": b'{"prompt":"a"}\n{"prompt":"b"}',
    "CRLF": b'{"prompt":"a"}\r\n{"prompt":"b"}\r\n',
    "BOM": b'\xef\xbb\xbf{"prompt":"a"}\n{"prompt":"b"}\n',
    "BOM and CRLF": b'\xef\xbb\xbf{"prompt":"a"}\r\n{"prompt":"b"}',
    "BOM on an empty line": b'\xef\xbb\xbf\n{"prompt":"a"}\n{"prompt":"b"}',
    "blank lines": b'\n{"prompt":"a"}\n\n \t\r\n{"prompt":"b"}\n\n\n  ',
    "spaces around": b'  {"prompt":"a"}\t\n {"prompt":"b"} ',
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts_of_a_file(tmp_path: Path, content: bytes) -> None:
    prompts = read(write(tmp_path, content))
    assert said(prompts, 5) == ["a", "b", "a", "b", "a"]
    assert said(prompts, 1) == ["a"]
    assert prompts.count is None


def test_stop_ends_with_the_last_line(tmp_path: Path) -> None:
    prompts = read(write(tmp_path, LAYOUTS["blank lines"]), "stop")
    assert prompts.count == 2
    assert said(prompts, 2) == ["a", "b"]
    with pytest.raises(IndexError):
        prompts.conversation(2)


BROKEN: dict[str, tuple[bytes, str]] = {
    "cut short": (
        b'{"prompt": "a',
        r":2: is not JSON \(unexpected end of data, column 14\); write one object",
    ),
    "not JSON": (b"prompt: hello", r":2: is not JSON \(unexpected character.*, column 1\)"),
    "two objects": (b'{"prompt":"a"}{"prompt":"b"}', ":2: is not JSON"),
    "NaN": (b'{"prompt": "a", "x": NaN}', ":2: is not JSON"),
    "half a surrogate pair": (rb'{"prompt": "\ud800"}', ":2: is not JSON"),
    "nested too deep": (b"[" * 5000, ":2: is not JSON"),
    "Latin-1": (
        b'{"prompt": "caf\xe9"}',
        r":2: is not UTF-8 \(byte 16 of the line\); save the file as UTF-8",
    ),
    "a list": (b'["a"]', ":2: is a list, not an object"),
    "a string": (b'"a"', ":2: is a string, not an object"),
    "a number": (b"3", ":2: is a number, not an object"),
    "null": (b"null", ":2: is null, not an object"),
    "misspelt": (
        b'{"promt": "a"}',
        ":2: has none of `prompt`, `messages`, `body`; did you mean `prompt` by `promt`?",
    ),
    "misspelt messages": (b'{"id": 1, "message": []}', "did you mean `messages` by `message`?"),
    "other keys": (b'{"question": 1, "id": 2}', ":2: has none of .*; it has `question`, `id`"),
    "no keys": (b"{}", ":2: has none of `prompt`, `messages`, `body`; write "),
    "both": (b'{"prompt": "a", "messages": []}', ":2: has both"),
    "prompt a number": (b'{"prompt": 3}', ":2: `prompt` must be a string"),
    "prompt empty": (b'{"prompt": ""}', ":2: `prompt` must be a string that is not empty"),
    "messages a string": (b'{"messages": "a"}', ":2: `messages` must be a list that is not empty"),
    "messages empty": (b'{"messages": []}', ":2: `messages` must be a list that is not empty"),
    "message a string": (b'{"messages": ["a"]}', r":2: `messages\[0\]` is a string, not an object"),
    "no role": (b'{"messages": [{"content": "a"}]}', r":2: `messages\[0\]` has no `role`"),
    "role a number": (b'{"messages": [{"role": 1, "content": "a"}]}', r":2: `messages\[0\]` has no `role`"),
    "role unknown": (
        b'{"messages": [{"role": "usr", "content": "a"}]}',
        r':2: `messages\[0\]` has the role "usr"; did you mean "user"\?',
    ),
    "no content": (b'{"messages": [{"role": "user"}]}', r":2: `messages\[0\]` has no `content`"),
    "content a number": (
        b'{"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": 3}]}',
        r":2: `messages\[1\]`.content is a number, not a string, a list of parts or null",
    ),
    "part a string": (
        b'{"messages": [{"role": "user", "content": ["a"]}]}',
        r"content\[0\] is not an object with",
    ),
    "part without type": (
        b'{"messages": [{"role": "user", "content": [{}]}]}',
        r"content\[0\] is not an object",
    ),
    "part without text": (
        b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
        r"content\[0\] has no `text`",
    ),
    "cap of 0": (
        b'{"prompt": "a", "max_tokens": 0}',
        ":2: `max_tokens` must be a whole number of at least 1",
    ),
    "cap a boolean": (b'{"prompt": "a", "max_tokens": true}', ":2: `max_tokens` must be"),
    "cap a fraction": (b'{"prompt": "a", "max_tokens": 1.5}', ":2: `max_tokens` must be"),
    "cap a string": (b'{"prompt": "a", "max_tokens": "5"}', ":2: `max_tokens` must be"),
    "task a number": (b'{"prompt": "a", "task": 1}', ":2: `task` must be"),
    "answer a list": (b'{"prompt": "a", "answer": ["b"]}', ":2: `answer` must be a string"),
    "answer twice": (
        b'{"messages": [{"role": "user", "content": ""},{"role": "assistant","content": ""}],"answer": "b"}',
        ":2: has its answer twice",
    ),
    "session a fraction": (b'{"prompt": "a", "session_id": 1.5}', ":2: `session_id` must be"),
    "session empty": (b'{"prompt": "a", "session_id": ""}', ":2: `session_id` must be"),
    "body a string": (b'{"body": "{}"}', ":2: `body` is a string, not an object"),
    "body without a stream": (
        b'{"body": {"messages": [{"role": "user", "content": "a"}]}}',
        ':2: `body` does not say "stream": true; add it',
    ),
    "body without messages": (b'{"body": {"stream": true}}', ":2: `body.messages` must be a list"),
    "body with a broken message": (
        b'{"body": {"stream": true, "messages": [{"role": "user"}]}}',
        r":2: `body\.messages\[0\]` has no `content`",
    ),
    "body and prompt": (b'{"prompt": "a", "body": {}}', ":2: has both `prompt` and `body`"),
    "cap beside body": (
        b'{"max_tokens": 5, "body": {"stream": true, "messages": [{"role": "user", "content": "a"}]}}',
        ":2: `max_tokens` beside `body` would not be sent; write it into the body",
    ),
    "time a list": (b'{"prompt": "a", "timestamp": []}', ":2: `timestamp` is a list, not a number"),
    "time a boolean": (b'{"prompt": "a", "timestamp": true}', ":2: `timestamp` is a boolean"),
    "time in milliseconds": (
        b'{"prompt": "a", "timestamp": 1700000000000}',
        ":2: `timestamp` 1.7e.12 is no number of seconds; divide milliseconds by 1,000",
    ),
    "time not ISO": (
        b'{"prompt": "a", "timestamp": "noon"}',
        ':2: `timestamp` "noon" is not a date and time',
    ),
}


@pytest.mark.parametrize(("line", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path, b'{"prompt": "good"}\n' + line + b'\n{"prompt": "good"}\n')
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert raised.value.exit_code == 2
    assert [problem.place for problem in raised.value.problems] == [f"{path}:2"]


def test_ten_broken_lines_are_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, '{"prompt": "good"}\n\nbad\n' * 30)
    with pytest.raises(DataError) as raised:
        read(path)
    assert [problem.place for problem in raised.value.problems] == [f"{path}:{n}" for n in range(3, 33, 3)]
    assert len(str(raised.value).splitlines()) == 10


NOT_FILES = {
    "missing": ("missing.jsonl", "No such file"),
    "a directory": (".", "is a directory; name a JSON Lines file"),
    "a pipe": ("pipe", "is not a regular file"),
    "empty": ("empty", "holds no prompt; write one object a line"),
    "only blank lines": ("blank", "holds no prompt"),
}


@pytest.mark.parametrize(("name", "message"), NOT_FILES.values(), ids=NOT_FILES.keys())
def test_a_file_without_prompts(tmp_path: Path, name: str, message: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "blank").write_text("\n \n\r\n")
    path = str(tmp_path / name)
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert raised.value.problems[0].place == path


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, LAYOUTS["plain"])
    Path(path).chmod(0)
    with pytest.raises(DataError, match="Permission denied"):
        read(path)


def test_the_digest_is_of_the_contents(tmp_path: Path) -> None:
    def digest(content: bytes) -> str:
        return read(write(tmp_path, content)).contents_digest

    assert digest(LAYOUTS["plain"]) == digest(LAYOUTS["plain"])
    assert digest(LAYOUTS["plain"]) != digest(LAYOUTS["no final newline"])
    assert len(digest(LAYOUTS["plain"])) == 64


def test_the_file_stays_on_the_disk(tmp_path: Path) -> None:
    text = "x" * 2000
    path = write(tmp_path, "".join(f'{{"prompt": "{n} {text}"}}\n' for n in range(5000)))  # 10 MB
    tracemalloc.start()
    try:
        prompts = read(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000
    assert [prompts.conversation(n).turns[0].messages[0]["content"].split()[0] for n in (4999, 0, 2500)] == [
        "4999",
        "0",
        "2500",
    ]


CHANGES = {
    "cut": (b"", "became shorter during the run"),
    "written over": (b"-" * 200_000, "is not JSON"),
}


@pytest.mark.parametrize(("content", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_a_file_changed_during_the_run_is_an_error_not_a_crash(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = write(tmp_path, b'{"prompt": "aaaaaaaaaaaaaaaaaaaa"}\n' * 5000)
    prompts = read(path)
    Path(path).write_bytes(content)
    with pytest.raises(DataError, match=message):
        prompts.conversation(4000)


def test_a_file_that_grows_or_is_replaced_is_read_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path, LAYOUTS["plain"])
    prompts = read(path)
    with Path(path).open("ab") as file:
        file.write(b'{"prompt":"c"}\n')
    assert said(prompts, 3) == ["a", "b", "a"]
    (tmp_path / "new").write_bytes(b'{"prompt":"z"}\n')
    (tmp_path / "new").rename(path)
    assert said(prompts, 3) == ["a", "b", "a"]


def test_a_caller_may_change_what_it_got(tmp_path: Path) -> None:
    prompts = read(write(tmp_path, LAYOUTS["plain"]))
    prompts.conversation(0).turns[0].messages.append({"role": "assistant", "content": "changed"})
    assert len(prompts.conversation(0).turns[0].messages) == 1
