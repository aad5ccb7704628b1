"""HumanEval's problems, packed and unpacked."""

import gzip
import json
from pathlib import Path
from typing import Literal

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.words import Workload
from loadgen.workload.humaneval import INSTRUCTION, HumanEvalPrompts

PROBLEMS = [
    {"task_id": f"HumanEval/{n}", "prompt": f'def f{n}(x: int) -> int:\n    """é {n}"""\n', "test": ""}
    for n in range(3)
]
PLAIN = "".join(json.dumps(problem) + "\n" for problem in PROBLEMS).encode()


def read(
    tmp_path: Path, content: bytes, on_end: Literal["cycle", "stop"] = "cycle", task: str = "completion"
) -> HumanEvalPrompts:
    path = tmp_path / "HumanEval.jsonl"
    path.write_bytes(content)
    return HumanEvalPrompts(Workload(source="humaneval", file=FilePath(path), on_end=on_end, task=task), 7)


@pytest.mark.parametrize("content", [PLAIN, gzip.compress(PLAIN)], ids=["plain", "gzip"])
def test_problems_in_turn(tmp_path: Path, content: bytes) -> None:
    prompts = read(tmp_path, content)
    assert prompts.count is None
    for session in range(5):
        conversation = prompts.conversation(session)
        (turn,) = conversation.turns
        assert turn.messages == [
            {"role": "system", "content": INSTRUCTION},
            {"role": "user", "content": PROBLEMS[session % 3]["prompt"]},
        ]
        assert conversation.task == "humaneval"


def test_packing_changes_no_digest(tmp_path: Path) -> None:
    digest = read(tmp_path, PLAIN).contents_digest
    assert read(tmp_path, gzip.compress(PLAIN)).contents_digest == digest
    assert read(tmp_path, PLAIN + PLAIN).contents_digest != digest


def test_a_scenarios_task_stands(tmp_path: Path) -> None:
    assert read(tmp_path, PLAIN, task="mine").conversation(0).task == "mine"


def test_stop(tmp_path: Path) -> None:
    prompts = read(tmp_path, PLAIN, "stop")
    assert prompts.count == 3
    with pytest.raises(IndexError):
        prompts.conversation(3)


BROKEN = {
    "cut archive": (gzip.compress(PLAIN * 200)[:-20], "is not a whole gzip file.*; download it again"),
    "damaged archive": (gzip.compress(PLAIN)[:20] + b"xxxxx", "is not a whole gzip file"),
    "empty": (b"", "holds no problem"),
    "not JSON": (PLAIN + b"{", r"jsonl:4: is not JSON"),
    "not JSON, packed": (gzip.compress(PLAIN + b"{"), r"jsonl:4: is not JSON"),
    "a list": (b"[]", r"jsonl:1: is a list, not an object"),
    "another file": (b'{"question": "a", "answer": "b"}', "jsonl:1: has no text `prompt`; it has `question`"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)
