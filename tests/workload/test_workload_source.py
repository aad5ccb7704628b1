"""From a workload to its prompts: what the scenario adds to a source's."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import msgspec
import pytest

from loadgen.errors import DataError, ScenarioError
from loadgen.scenario.lengths import Constant, FilePath, Lengths, Tokens, Uniform
from loadgen.scenario.words import Workload
from loadgen.workload.prompt import Prompts, Turn
from loadgen.workload.source import _READERS, KINDS, decide_salt, open_prompts

CAPS = Uniform(Tokens(16), Tokens(96))


@pytest.fixture
def file(tmp_path: Path) -> FilePath:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "one", "max_tokens": 7}\n{"prompt": "two"}\n')
    return FilePath(path)


@pytest.fixture(params=["code", "prose", "synthetic", "prompts", "jsonl"])
def workload(request: pytest.FixtureRequest, file: FilePath) -> Workload:
    if request.param == "jsonl":
        return Workload(source="jsonl", file=file, salt=False)
    prompts = ("one", "two") if request.param == "prompts" else ()
    return Workload(source=request.param, prompts=prompts, salt=False)


def with_salt(workload: Workload, salt: bool | str) -> Workload:
    return msgspec.structs.replace(workload, salt=salt)


def said(prompts: Prompts, session: int, target: int) -> Turn:
    (turn,) = prompts.conversation(session, target).turns
    return turn


def start(prompt: Turn) -> str:
    text = prompt.messages[0]["content"]
    assert isinstance(text, str)
    return text


def test_every_source_of_a_scenario_has_a_reader() -> None:
    assert {*KINDS, *_READERS} == set(get_args(get_type_hints(Workload)["source"]))


def test_salt_true_is_decided_freshly(workload: Workload) -> None:
    asked = with_salt(workload, salt=True)
    marks = [decide_salt(asked).salt for _ in range(20)]
    assert len(set(marks)) == 20
    assert all(isinstance(mark, str) and re.fullmatch("[0-9a-f]{8}", mark) for mark in marks)
    assert asked.salt is True


@pytest.mark.parametrize("salt", [False, "a1b2c3d4", "mine"])
def test_other_salts_stay(workload: Workload, salt: bool | str) -> None:
    asked = with_salt(workload, salt)
    assert decide_salt(asked) == asked


def test_an_undecided_salt_is_a_mistake_of_the_caller(workload: Workload) -> None:
    with pytest.raises(ValueError, match="decide_salt"):
        open_prompts([with_salt(workload, salt=True)], 7)


def test_salt_is_put_before_what_is_said_without_it(workload: Workload) -> None:
    plain = open_prompts([workload], 7)
    marked = open_prompts([with_salt(workload, "a1b2c3d4")], 7)
    for session, target in [(0, 0), (1, 0), (0, 1), (300, 2)]:
        mark = f"[a1b2c3d4-{session:08x}-{target:02x}] "
        without, with_it = said(plain, session, target), said(marked, session, target)
        assert start(with_it) == mark + start(without)
        assert with_it.messages[1:] == without.messages[1:]
        assert msgspec.structs.replace(with_it, messages=without.messages) == without
    assert marked.contents_digest == plain.contents_digest
    assert marked.count == plain.count


def test_only_a_salt_tells_targets_apart(workload: Workload) -> None:
    plain = open_prompts([workload], 7)
    assert said(plain, 3, 0) == said(plain, 3, 1)
    marked = open_prompts([with_salt(workload, "a1b2c3d4")], 7)
    assert start(said(marked, 3, 0)) != start(said(marked, 3, 1))
    assert said(marked, 3, 1) == said(open_prompts([with_salt(workload, "a1b2c3d4")], 7), 3, 1)


def test_a_repeated_line_is_marked_anew(file: FilePath) -> None:
    prompts = open_prompts([Workload(source="jsonl", file=file, salt="a1b2c3d4")], 7)
    assert len({start(said(prompts, n, 0)) for n in range(100)}) == 100


CAP_CASES: dict[str, tuple[Literal["code", "jsonl"], Lengths | None, list[int | None]]] = {
    "code, none asked": ("code", None, [None, None]),
    "code, drawn": ("code", Constant(Tokens(50)), [50, 50]),
    "file's own": ("jsonl", None, [7, None]),
    "scenario before file": ("jsonl", Constant(Tokens(50)), [50, 50]),
}


@pytest.mark.parametrize(("source", "lengths", "caps"), CAP_CASES.values(), ids=CAP_CASES.keys())
def test_the_answers_cap(
    file: FilePath, source: Literal["code", "jsonl"], lengths: Lengths | None, caps: list[int | None]
) -> None:
    prompts = open_prompts([Workload(source=source, file=file, output_tokens=lengths, salt=False)], 7)
    assert [said(prompts, n, 0).asked_output_tokens for n in range(2)] == caps


def test_caps_are_drawn_from_the_seed(workload: Workload) -> None:
    def caps(prompts: Prompts) -> list[int | None]:
        return [said(prompts, n, n % 3).asked_output_tokens for n in range(600)]

    asked = msgspec.structs.replace(workload, output_tokens=CAPS)
    drawn = caps(open_prompts([asked], 7))
    assert caps(open_prompts([asked], 7)) == drawn
    assert caps(open_prompts([asked], 8)) != drawn
    assert {min(cap for cap in drawn if cap), max(cap for cap in drawn if cap)} == {16, 96}


def test_asking_for_a_cap_changes_no_prompt(workload: Workload) -> None:
    without = open_prompts([workload], 7)
    with_caps = open_prompts([msgspec.structs.replace(workload, output_tokens=CAPS)], 7)
    assert all(said(without, n, 0).messages == said(with_caps, n, 0).messages for n in range(100))


def test_a_broken_file_is_a_users_error(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "one"}\nbroken\n')
    with pytest.raises(DataError, match=r"prompts\.jsonl:2: is not JSON"):
        open_prompts([Workload(source="jsonl", file=FilePath(path), salt=False)], 7)


def test_jsonl_needs_a_file() -> None:
    with pytest.raises(ScenarioError, match=r"workload\.file: is missing"):
        open_prompts([Workload(source="jsonl", salt=False)], 7)


def test_opening_a_workload_loads_no_network() -> None:
    check = "import sys, loadgen.workload.source; print('aiohttp' in sys.modules, 'hdrh' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["False", "False"]
