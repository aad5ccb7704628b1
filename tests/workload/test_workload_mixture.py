"""Mixtures: who a session belongs to is drawn by weight, from the seed and its number alone."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.lengths import Constant, Count, FilePath, Tokens
from loadgen.scenario.words import SharedPrefix, Workload
from loadgen.workload.source import open_prompts


def part(task: str, weight: float = 1.0, **keys: Any) -> Workload:
    return Workload(**{"source": "synthetic", "salt": False, "task": task, "weight": weight, **keys})


def test_sessions_are_shared_out_by_weight() -> None:
    prompts = open_prompts([part("a", 6), part("b", 3), part("c", 1), part("never", 0)], 7)
    tasks = [prompts.conversation(n, 0).task for n in range(20_000)]
    shares = Counter(tasks)
    # 4 standard errors
    assert shares["a"] / 20_000 == pytest.approx(0.6, abs=0.014)
    assert shares["b"] / 20_000 == pytest.approx(0.3, abs=0.013)
    assert shares["c"] / 20_000 == pytest.approx(0.1, abs=0.009)
    assert "never" not in shares
    pairs = Counter(itertools.pairwise(tasks))  # and in no order
    assert pairs["a", "a"] / 20_000 == pytest.approx(0.36, abs=0.016)


def test_whose_a_session_is_depends_on_nothing_else() -> None:
    plain = open_prompts([part("a"), part("b")], 7)
    other = open_prompts([part("a", prompt_tokens=Constant(Tokens(9))), part("b", source="prose")], 7)
    tasks = [plain.conversation(n, 0).task for n in range(500)]
    assert [other.conversation(n, 1).task for n in reversed(range(500))] == tasks[::-1]
    assert [open_prompts([part("a"), part("b")], 8).conversation(n, 0).task for n in range(500)] != tasks


def test_parts_share_no_texts() -> None:
    pool = SharedPrefix(prefixes=Count(2), tokens=Tokens(50))
    prompts = open_prompts(
        [part("a", shared_prefix=pool, salt="s"), part("b", shared_prefix=pool, salt="s")], 7
    )
    said = [prompts.conversation(n, 0) for n in range(200)]
    texts = {(c.task, c.turns[0].messages[0]["content"]) for c in said}
    assert len(texts) == 4
    assert len({system[len("[s-00000000-00] ") :][:20] for _, system in texts}) == 4
    assert len({system[: len("[s-00000000-00] ")] for _, system in texts}) == 4


@pytest.mark.parametrize("source", ["code", "prose", "synthetic"])
def test_the_same_session_says_something_else_in_another_part(source: str) -> None:
    one, other = (
        open_prompts([part("a", a, source=source), part("b", 1 - a, source=source)], 7) for a in (1, 0)
    )
    for n in range(50):
        assert one.conversation(n, 0).task != other.conversation(n, 0).task
        assert one.conversation(n, 0).turns[0].messages != other.conversation(n, 0).turns[0].messages


def test_a_file_begins_again_in_a_mixture(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "one"}\n{"prompt": "two"}\n')
    lines = part("lines", source="jsonl", file=FilePath(file), on_end="stop")
    prompts = open_prompts([lines, part("a")], 7)
    assert prompts.count is None
    assert prompts.arrivals_ns is None
    said = [prompts.conversation(n, 0) for n in range(100)]
    texts = Counter(c.turns[0].messages[0]["content"] for c in said if c.task == "lines")
    assert set(texts) == {"one", "two"}


def test_the_digest_is_of_all_contents(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    parts = [part("lines", source="jsonl", file=FilePath(file)), part("a")]
    digests = []
    for prompt in ("one", "two"):
        file.write_text(f'{{"prompt": "{prompt}"}}\n')
        digests.append(open_prompts(parts, 7).contents_digest)
    assert digests[0] != digests[1]


def test_what_was_set_aside_adds_up(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,10,1\n"
        "2023-11-16 18:00:01.0000000,1000,1\n"
    )
    trace = part("t", source="azure", file=FilePath(file), too_long="skip")
    assert open_prompts([trace, trace, part("a", too_long="clip")], 7, context=100).set_aside["skipped"] == 2
    digests = [open_prompts([trace], 7, context=context).contents_digest for context in (100, 2000, 3000)]
    assert digests[0] != digests[1] == digests[2]  # a context that leaves out nothing decides nothing


def test_weights_that_sum_to_nothing_are_a_users_error() -> None:
    with pytest.raises(ScenarioError, match="weights sum to nothing"):
        open_prompts([part("a", 0), part("b", 0)], 7)


def test_every_salt_must_be_decided() -> None:
    with pytest.raises(ValueError, match="decide_salt"):
        open_prompts([part("a"), part("b", salt=True)], 7)
