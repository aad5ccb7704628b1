"""The profiles give what their sources report."""

from pathlib import Path

import pytest

from loadgen.catalog.model import find
from loadgen.catalog.profiles import model_names, profile
from loadgen.cli import main
from loadgen.engine.machine import Engine
from loadgen.engine.params import EngineParams

exact = pytest.mark.parametrize("model", ["gpt-5.5", "gemini-3.5-flash"])


def _exact_engine(params: EngineParams) -> Engine:
    values = {name: getattr(params, name) for name in EngineParams.__struct_fields__}
    return Engine(EngineParams(**(values | {"spread": 0.0})), 0)


@pytest.mark.parametrize(
    ("model", "ttft_ms", "tokens_per_s", "context"),
    [("gpt-5.5", 320, 3100, 64_000), ("gemini-3.5-flash", 190, 5400, 48_000)],
)
def test_the_catalogue_says_what_article_d_says(
    model: str, ttft_ms: float, tokens_per_s: float, context: int
) -> None:
    known = profile(model)
    assert known.facts["idle_ttft_ms"].value == ttft_ms
    assert known.facts["full_batch_output_tokens_per_s"].value == tokens_per_s
    assert known.engine.max_context_tokens == context
    assert not known.assumed
    assert str(known) == 'article D, "GPT-5.5 vs Gemini 3.5 Flash" (April to June 2026), assumed (2026-11)'


@exact
def test_ttft_on_an_idle_server(model: str) -> None:
    known = profile(model)
    engine = _exact_engine(known.engine)
    ttft_ns = engine.draw_overhead_ns()
    engine.submit(0, 1000, 10)
    while step := engine.step():
        ttft_ns += step.duration_ns
        if step.tokens:
            break
    assert ttft_ns == known.facts["idle_ttft_ms"].value * 1e6


@exact
def test_throughput_of_a_full_batch(model: str) -> None:
    known = profile(model)
    engine = _exact_engine(known.engine)
    users = known.engine.max_batch + known.engine.max_batch // 2  # the queue is never empty
    for request_id in range(users):
        engine.submit(request_id, 100, 500)
    submitted, tokens, elapsed_ns, finished = users, 0, 0, 0
    while finished < 8 * users:
        step = engine.step()
        assert step
        for _ in step.finished:
            engine.submit(submitted, 100, 500)
            submitted += 1
        finished += len(step.finished)
        if finished >= 2 * users:  # steady
            tokens += len(step.tokens)
            elapsed_ns += step.duration_ns
    measured = tokens / (elapsed_ns / 1e9)
    assert measured == pytest.approx(known.facts["full_batch_output_tokens_per_s"].value, rel=0.005)


def test_an_unknown_model_has_the_default_profile_and_says_so() -> None:
    unknown = profile("qwen3-coder")
    assert unknown.assumed
    assert unknown.model == "qwen3-coder"
    assert "assumed" in str(unknown)
    assert unknown.engine == profile("another").engine
    assert "qwen3-coder" not in model_names()
    assert {"gpt-5.5", "gemini-3.5-flash"} <= set(model_names())


@pytest.mark.parametrize("name", model_names())
def test_every_model_of_the_catalogue_has_a_profile(name: str) -> None:
    model = find(name)
    assert model
    for asked in (name, *model.aliases):
        found = profile(asked)
        assert (found.model, found.assumed) == (name, False)
        assert model.context_tokens in {None, found.engine.max_context_tokens}
        assert found.max_output_tokens == model.max_output_tokens
        assert found.sources[-1].title == "assumed"
        assert all(source.title and source.date for source in found.sources)


def test_the_help_of_simulate_lists_them() -> None:
    told = " ".join((main.commands["simulate"].help or "").split())
    assert f"a profile of their own: {', '.join(model_names())}." in told


def test_no_two_models_are_alike() -> None:
    engines = [profile(name).engine for name in (*model_names(), "unknown")]
    for field in ("overhead_ns", "prefill_tokens_per_s", "decode_step_base_ns"):
        assert len({getattr(engine, field) for engine in engines}) >= len(engines) - 2
    assert {name for name in model_names() if profile(name).images} == {"gpt-image-1-mini"}


def test_a_model_of_the_users_own_file_has_its_window(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[sources.me]\ntitle = "me"\ndate = "2026-11"\n[models.ours.me]\ncontext_tokens = 5_000\n')
    monkeypatch.setenv("LOADGEN_MODELS", str(own))
    found = profile("ours")
    assert (found.engine.max_context_tokens, found.assumed) == (5_000, True)
    assert "ours" in model_names()
