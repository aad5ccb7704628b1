"""The catalogue says what its sources say; a user's file is laid over it, and its mistakes are named."""

import re
from pathlib import Path

import pytest

from loadgen.catalog.model import Capabilities, find, models
from loadgen.errors import DataError

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
SOURCE = '[sources.own]\ntitle = "our contract"\ndate = "2026-11"\n'


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "models.toml"
    monkeypatch.setenv("LOADGEN_MODELS", str(path))
    return path


@pytest.fixture(autouse=True)
def _none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOADGEN_MODELS", raising=False)


@pytest.mark.parametrize(
    ("name", "context", "longest", "by"),
    [
        ("gemini-3.1-pro", 1_000_000, 65_536, "A B C"),
        ("gpt-5.4", 1_000_000, 32_000, "A"),
        ("gpt-4o-2024-11-20", 128_000, None, "B"),
        ("gpt-image-1-mini", None, None, "C"),
        ("gpt-5.5", 64_000, None, "D"),
        ("gemini-3.5-flash", 48_000, None, "D"),
        ("gpt-5.4-mini", 400_000, None, "E"),
        ("claude-sonnet-4-6", 200_000, None, "E"),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
def test_windows_and_sources(name: str, context: int | None, longest: int | None, by: str) -> None:
    model = find(name)
    assert model is not None
    assert (model.context_tokens, model.max_output_tokens) == (context, longest)
    assert list(model.sources) == by.split()
    assert all(s.title.startswith("article ") and s.date.endswith("2026") for s in model.sources.values())


def test_an_alias_is_the_same_model() -> None:
    assert find("gemini-3.1-pro-preview") == find("gemini-3.1-pro") != None  # noqa: E711
    assert find("gemini-3.1") is None


@pytest.mark.parametrize(
    ("name", "capability", "by"),
    [
        ("gpt-image-1-mini", "streaming", "article C"),
        ("gpt-image-1-mini", "tools", "article C"),
        ("gpt-4o-2024-11-20", "image_input", "article B"),
        ("gpt-4o-2024-11-20", "structured_output", None),  # it can
        ("gemini-3.1-pro", "reasoning", None),  # A says yes, B no
        ("claude-sonnet-4-6", "tools", None),  # nobody says
        ("gpt-5.5", "audio_input", "article D"),
    ],
)
def test_only_what_all_who_speak_deny_is_denied(name: str, capability: str, by: str | None) -> None:
    model = find(name)
    assert model is not None
    denied = model.denied(capability)
    assert denied is None if by is None else denied is not None and denied.startswith(by)


def test_own_facts_take_the_place_of_the_catalogue_s(own: Path) -> None:
    own.write_text(
        SOURCE
        + '[models.new.own]\nprice = { gpu_hour = 2.5, gpus = 8 }\n[models."gemini-3.1-pro-preview"]\n'
        + 'aliases = ["gemini"]\n[models."gemini-3.1-pro-preview".own]\nprice = { input = 1 }\n'
        + "capabilities = { reasoning = false }\n"
    )
    model = find("gemini")
    assert model is not None
    assert model == find("gemini-3.1-pro")
    assert model.price is not None
    assert (model.price.input, model.price.output, model.price.tiers) == (1, None, ())
    assert model.price_source == "our contract (2026-11)"
    assert model.denied("reasoning") == "our contract"
    assert model.context_tokens == 1_000_000
    assert model.capabilities["tools"] == {"A": True}
    assert [m.name for m in models()][-1] == "new"
    assert len(models()) == 9


def test_the_file_in_the_document_is_one(own: Path) -> None:
    text = DOCUMENT.read_text("utf-8")
    own.write_text(re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0])
    model = find("qwen3-coder-480b")
    assert model is not None
    assert model.denied("image_input")
    assert not [name for name in Capabilities.__struct_fields__ if f"`{name}`" not in text]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[models.a.own]\nprice = { input = -1 }", "models.a.own.price.input: Expected float >= 0"),
        ("[models.a.own]\nprice = { input = nan }", "models.a.own.price.input: Expected float >= 0"),
        (
            '[models."a.b".own]\nprice = { inptu = 1 }',
            'models."a.b".own.price.inptu: unknown key; did you mean "input"?',
        ),
        (
            "[models.a.own]\nprice = { tiers = [{ above = 9, input = 1, ouput = 1 }] }",
            'models.a.own.price.tiers[0].ouput: unknown key; did you mean "output"?',
        ),
        (
            "[models.a.own]\nprice = { tiers = [{ above = 9, input = 1 }, { above = 8, input = 1 }] }",
            "models.a.own.price: the tiers are out of order",
        ),
        (
            "[models.a.own]\nprice = { input = 1, output = 1, tiers = [{ above = 9, input = 1 }] }",
            "models.a.own.price: a tier has no output price",
        ),
        (
            "[models.a.own]\nprice = { input = 1, gpu_hour = 1 }",
            "models.a.own.price: gpu_hour and prices of tokens",
        ),
        (
            "[models.a.own]\ncapabilities = { stream = true }",
            "models.a.own.capabilities.stream: unknown key; ",
        ),
        ("[models.a.mine]", "models.a.mine: is neither aliases nor a source"),
        ("[models.a.own]\ncontext_tokens = 0", "models.a.own.context_tokens: Expected int >= 1"),
        ('[sources.A]\ntitle = "x"\ndate = "y"', "sources.A: is a source of loadgen's catalogue"),
        ("modles = 1", 'modles: unknown key; did you mean "models"?'),
        ("a b", "is not TOML"),
    ],
    ids=[
        *(
            "negative",
            "nan",
            "key of a price",
            "key of a tier",
            "order",
            "output of a tier",
            "gpu",
            "capability",
        ),
        *("source", "window", "source of ours", "top", "syntax"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(own: Path, text: str, said: str) -> None:
    own.write_text(f"{text}\n{SOURCE}" if text.startswith("modles") else f"{SOURCE}{text}\n")
    with pytest.raises(DataError) as raised:
        models()
    message = str(raised.value)
    assert message.startswith(f"{own}: {said}")
    assert "\n" not in message
    assert raised.value.exit_code == 2


def test_a_missing_file_is_named(own: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"{own}: No such file")):
        find("gpt-5.5")
