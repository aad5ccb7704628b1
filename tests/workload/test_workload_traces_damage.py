"""Whatever a file holds, a reader opens it or says what is wrong with it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.words import Workload
from loadgen.workload.azure import open_azure
from loadgen.workload.burstgpt import open_burstgpt
from loadgen.workload.humaneval import HumanEvalPrompts
from loadgen.workload.jsonl import JsonlPrompts
from loadgen.workload.mooncake import MooncakePrompts
from loadgen.workload.sharegpt import ShareGptPrompts
from loadgen.workload.text import TextMaker

USER, MODEL = {"role": "user", "content": "q"}, {"role": "assistant", "content": "é"}
CHAT = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "é"}]


def lines(*records: Any) -> str:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records)


GOOD: dict[str, tuple[Any, str]] = {
    "jsonl": (
        JsonlPrompts,
        lines(
            {"prompt": "a", "timestamp": 1, "session_id": "s", "answer": "x"},
            {"messages": [USER, MODEL, USER], "timestamp": 2.5, "session_id": "s", "max_tokens": 4},
            {"body": {"stream": True, "messages": [USER]}, "timestamp": "1970-01-01T00:00:03Z", "task": "t"},
        ),
    ),
    "sharegpt": (ShareGptPrompts, json.dumps([{"conversations": CHAT}] * 3, indent=1, ensure_ascii=False)),
    "humaneval": (HumanEvalPrompts, lines({"prompt": "def f():\n"}, {"prompt": "é"})),
    "mooncake": (
        MooncakePrompts,
        lines(
            *(
                {"timestamp": n * 9, "input_length": 700, "output_length": 5, "hash_ids": [0, n]}
                for n in range(3)
            )
        ),
    ),
    "azure": (
        open_azure,
        "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.97,48,10\r\n2023-11-16 18:17:04,31,8",
    ),
    "burstgpt": (
        open_burstgpt,
        'Timestamp,Model,Request tokens,Response tokens\n5,GPT,472,18\n45,"G,x",1087,0\n46.5,G,1,1\n',
    ),
}
PIECES = ['"', "{", "}", "[", "]", ",", ":", "-", "0", "9" * 30, "1e308", "null", "true", "\n", "\r\n", "\\"]
PIECES += ["\\ud800", "é", " ", "\x00", ".", "+", "nan", "Z", "[]", "{}", '""', "-1", "2.5", *([""] * 12)]


def damaged(good: str, rng: random.Random) -> bytes:
    text = good
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        text = text[:start] + rng.choice(PIECES) + text[start + rng.choice([0, 0, 1, 1, 2, 8, 30]) :]
    content = bytearray(text.encode())
    if content and rng.random() < 0.1:
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("kind", GOOD)
def test_damage_is_told_and_never_a_crash(tmp_path: Path, kind: Any) -> None:
    reader, good = GOOD[kind]
    rng = random.Random(5)
    path = tmp_path / "file"
    opened: list[int] = []
    told: list[str] = []
    for number in range(600):
        path.write_bytes(damaged(good, rng) if number else good.encode())
        keys: dict[str, Any] = {
            "history": rng.choice(["answers", "recorded"]),
            "too_long": rng.choice(["skip", "clip"]),
        }
        workload = Workload(source=kind, file=FilePath(path), on_end="stop", **keys)
        try:
            prompts = reader(workload, 7, rng.choice([None, 4000]), TextMaker(7))
            arrivals_ns = prompts.arrivals_ns
        except DataError as error:
            told += [problem.place for problem in error.problems]
            continue
        opened.append(number)
        assert 1 <= prompts.count <= 3
        for session in range(prompts.count):
            turns = prompts.conversation(session).turns
            assert turns
            assert all(turn.messages or turn.body for turn in turns)
        if arrivals_ns is not None:
            arrivals = arrivals_ns.tolist()
            assert len(arrivals) == prompts.count
            assert arrivals == sorted(arrivals)
            assert arrivals[0] >= 0
    assert opened[0] == 0, "the undamaged file"
    assert len(opened) > 5
    assert all(place.startswith(str(path)) for place in told)
