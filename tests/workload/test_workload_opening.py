"""What stands before a conversation: system messages, shared prefixes, and whose mark it is."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loadgen.scenario.lengths import Constant, Count, FilePath, Tokens
from loadgen.scenario.words import SharedPrefix, Workload
from loadgen.workload import text
from loadgen.workload.prompt import Message, Prompts
from loadgen.workload.source import open_prompts

POOL = SharedPrefix(prefixes=Count(4), tokens=Tokens(300))


def opened(**keys: Any) -> Prompts:
    return open_prompts([Workload(**{"source": "synthetic", "salt": False, **keys})], 7)


def first(prompts: Prompts, session: int, target: int = 0) -> list[Message]:
    return prompts.conversation(session, target).turns[0].messages


SYSTEMS: dict[str, tuple[list[Message], list[Message]]] = {
    "none": ([{"role": "user", "content": "hi"}], [{"role": "system", "content": "Be brief."}]),
    "text": (
        [{"role": "system", "content": "You are Bob."}, {"role": "user", "content": "hi"}],
        [{"role": "system", "content": "Be brief.\n\nYou are Bob."}],
    ),
    "developer": (
        [{"role": "developer", "content": "You are Bob."}, {"role": "user", "content": "hi"}],
        [{"role": "developer", "content": "Be brief.\n\nYou are Bob."}],
    ),
    "parts": (
        [{"role": "system", "content": [{"type": "text", "text": "Bob"}]}, {"role": "user", "content": "hi"}],
        [
            {
                "role": "system",
                "content": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Bob"}],
            }
        ],
    ),
}


@pytest.mark.parametrize(("said", "system"), SYSTEMS.values(), ids=SYSTEMS.keys())
def test_there_is_one_system_message(tmp_path: Path, said: list[Message], system: list[Message]) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"messages": said}))
    prompts = opened(source="jsonl", file=FilePath(file), system="Be brief.")
    assert first(prompts, 0) == [*system, {"role": "user", "content": "hi"}]


def test_sessions_begin_with_one_of_the_shared_texts() -> None:
    prompts = opened(shared_prefix=POOL, system="Be brief.", prompt_tokens=Constant(Tokens(100)))
    systems = Counter(first(prompts, n)[0]["content"] for n in range(2000))
    assert len(systems) == 4
    assert all(400 < n < 600 for n in systems.values())  # 500 expected, 5 standard errors
    for system in systems:
        shared, rest = system.split("\n\n")
        assert (len(shared), rest) == (round(300 * text.CHARS_PER_TOKEN), "Be brief.")
    assert len({system[:20] for system in systems}) == 4
    turn = prompts.conversation(0, 0).turns[0]
    assert turn.asked_prompt_tokens == 400  # on top of what is asked for
    # what is said after it is the session's own, and still 100 tokens with the system message
    rest = len("Be brief.") + len(turn.messages[1]["content"])
    assert rest == pytest.approx(100 * text.CHARS_PER_TOKEN, abs=2)


def test_a_shared_text_has_one_mark_in_a_run() -> None:
    prompts = opened(shared_prefix=POOL, salt="a1b2c3d4")
    systems = Counter(first(prompts, n)[0]["content"] for n in range(500))
    assert len(systems) == 4
    assert {system.split("] ")[0] for system in systems} == {f"[a1b2c3d4-{n:08x}-00" for n in range(4)}
    assert first(prompts, 0, 1)[0]["content"].startswith("[a1b2c3d4-0000000")
    assert first(prompts, 0, 1)[0] != first(prompts, 0, 0)[0]
    assert not first(prompts, 0)[1]["content"].startswith("[")


def test_only_the_first_turn_is_marked() -> None:
    prompts = opened(salt="a1b2c3d4", turns=Constant(Tokens(3)))
    for n in range(20):
        marked = [turn.messages[0]["content"].startswith("[") for turn in prompts.conversation(n, 0).turns]
        assert marked == [True, False, False]


def test_a_traces_shared_blocks_stay_shared_under_a_mark(tmp_path: Path) -> None:
    rows = [
        {"timestamp": 0, "input_length": 600, "output_length": 1, "hash_ids": [1, 2]},
        {"timestamp": 5, "input_length": 700, "output_length": 1, "hash_ids": [1, 3]},
    ]
    file = tmp_path / "trace.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts = opened(source="mooncake", file=FilePath(file), salt="a1b2c3d4")
    said = [first(prompts, n)[0]["content"] for n in range(4)]
    assert said[0][:3000] == said[1][:3000]
    assert said[0] != said[1]
    # the next time through begins with a cold cache again
    marks = [re.match(r"\[a1b2c3d4-(\w+)-00\] ", text) for text in said]
    assert [mark and mark[1] for mark in marks] == ["00000000", "00000000", "00000001", "00000001"]
    assert said[2][22:] == said[0][22:]
