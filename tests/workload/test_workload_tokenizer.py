"""Exact lengths with a tokenizer's file, trained here on the spot; skipped where the extra is missing."""

import statistics
import sys
from pathlib import Path
from typing import Any, Literal

import pytest

from loadgen.errors import DataError
from loadgen.scenario.lengths import Constant, Count, FilePath, Tokens, Uniform
from loadgen.scenario.words import SharedPrefix, Workload
from loadgen.workload.calibrate import calibrated, calibration_prompts
from loadgen.workload.code import Code
from loadgen.workload.prompt import Message
from loadgen.workload.source import open_prompts


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    library = pytest.importorskip("tokenizers", reason="the `tokenizers` extra is not installed")
    trained = library.Tokenizer(library.models.BPE())
    trained.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator([Code(7).piece(200_000, 0)], trainer)
    trained.enable_truncation(64)  # as some are saved: it must not count to 64 alone
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    trained.save(str(path))
    return FilePath(path)


def tokens(file: FilePath, messages: list[Message]) -> int:
    import tokenizers  # noqa: PLC0415

    own = tokenizers.Tokenizer.from_file(str(file))
    own.no_truncation()
    return sum(len(own.encode(message["content"], add_special_tokens=False)) for message in messages)


def workload(source: Literal["code", "prose", "synthetic"], file: FilePath, **keys: Any) -> Workload:
    return Workload(**{"source": source, "salt": "a1b2c3d4", "tokenizer": file, **keys})


@pytest.mark.parametrize("source", ["code", "prose", "synthetic"])
def test_prompts_have_exactly_the_asked_length(
    file: FilePath, source: Literal["code", "prose", "synthetic"]
) -> None:
    asked = workload(source, file, prompt_tokens=Uniform(Tokens(100), Tokens(1500)), system="Be brief.")
    prompts = open_prompts([asked], 7)
    off = []
    for n in range(60):
        (turn,) = prompts.conversation(n, 0).turns
        off.append(tokens(file, turn.messages) - (turn.asked_prompt_tokens or 0))
    # where one character more is two tokens more, the number between can't be had
    assert set(off) <= {0, -1}
    assert off.count(0) >= 57


def test_shared_prefixes_and_later_turns_are_exact_too(file: FilePath) -> None:
    pool = SharedPrefix(prefixes=Count(2), tokens=Tokens(400))
    asked = workload(
        "prose", file, prompt_tokens=Constant(Tokens(150)), shared_prefix=pool, turns=Constant(Tokens(2))
    )
    prompts = open_prompts([asked], 7)
    first, later = prompts.conversation(0, 0).turns
    assert first.asked_prompt_tokens == 550
    assert tokens(file, first.messages) == pytest.approx(550, abs=1)
    assert tokens(file, later.messages) == pytest.approx(150, abs=1)


def test_only_the_chat_template_is_left_to_measure(file: FilePath) -> None:
    asked = workload("code", file, prompt_tokens=Constant(Tokens(300)))
    sent = calibration_prompts([asked], 7)
    assert len(sent) == 8
    (fitted,) = calibrated([asked], [(p, tokens(file, p.prompt.messages) + 17) for p in sent])
    assert (fitted.overhead_tokens, fitted.chars_per_token) == (17.0, None)
    prompts = open_prompts([fitted], 7)
    got = [tokens(file, prompts.conversation(n, 0).turns[0].messages) + 17 for n in range(20)]
    assert statistics.median(got) == 300
    assert set(got) <= {299, 300}


def test_a_file_that_is_no_tokenizer_is_a_users_error(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the `tokenizers` extra is not installed")
    path = tmp_path / "tokenizer.json"
    with pytest.raises(DataError, match=r"can't be read"):
        open_prompts([workload("code", FilePath(path))], 7)
    path.write_text('{"a": 1}')
    with pytest.raises(DataError, match=r"is not a tokenizer\.json"):
        open_prompts([workload("code", FilePath(path))], 7)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)  # what an import finds where it is not installed
    with pytest.raises(DataError, match=r"pip install 'loadgen\[tokenizers\]'") as raised:
        open_prompts([workload("code", FilePath(tmp_path / "tokenizer.json"))], 7)
    assert raised.value.exit_code == 2
