"""What endpoints have no place for, and what the catalogue says that models can't do."""

from pathlib import Path

import pytest

from loadgen.scenario.load import load
from tests.scenario.written import LOAD, lines_of, scenario

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def written(folder: Path, target: str, workload: str = "", top: str = "", load_keys: str = LOAD) -> Path:
    """Write a scenario with one target of these keys, and a few files."""
    (folder / "a.png").write_bytes(PNG)
    (folder / "a.wav").write_bytes(b"RIFF\x10\x00\x00\x00WAVEfmt ")
    (folder / "a.txt").write_bytes(b"hello, this is a text")
    path = folder / "s.toml"
    path.write_text(
        f'name = "s"\n{top}\n[[targets]]\nname = "a"\n{target}\n[workload]\n{workload}\n{load_keys}', "utf-8"
    )
    return path


IMAGE_MODEL = 'model = "gpt-image-1-mini"'
OF_IMAGES = f'{IMAGE_MODEL}\nendpoint = "images"'
EMBEDDINGS = 'model = "e"\nendpoint = "embeddings"'
COMPLETIONS = 'model = "c"\nendpoint = "completions"'
TOOLS = 'tools = [{ name = "f", result = "" }]'
SHAPED = (
    'endpoint = "responses"\nstream = false\nextra_body = { text = { format = { type = "json_schema" } } }'
)
JSON_FORM = 'response_format = { type = "json_object" }'

WRONG = {
    "streams": (
        IMAGE_MODEL,
        "",
        [
            (
                'targets[0].model: "gpt-image-1-mini" does not stream answers, says article C, "GPT Image 1'
                ' Mini vs Gemini 3.1 Pro"; write stream = false or endpoint = "images", name another model,'
                " or set the fact right in a file that LOADGEN_MODELS names"
            )
        ],
    ),
    "an alias is the same model, and two things are two lines": (
        f"{IMAGE_MODEL}\nextra_body = {{ {JSON_FORM} }}",
        TOOLS,
        ["does not stream answers", "calls no tools", "has no structured output"],
    ),
    "a format of Responses": (
        f"{IMAGE_MODEL}\n{SHAPED}",
        "",
        ["has no structured output"],
    ),
    "images": ('model = "gpt-4o-2024-11-20"', "images = {}", ['"gpt-4o-2024-11-20" takes no images']),
    "sound": ('model = "gpt-5.5"', "audio = {}", ['"gpt-5.5" takes no sound']),
    "tools": ('model = "gpt-4o-2024-11-20"', TOOLS, ["calls no tools"]),
    "turns of images": (
        OF_IMAGES,
        "turns = 2",
        ['workload.turns: has no place in endpoint = "images" (target "a"); leave it out, or write'],
    ),
    "tools of embeddings": (EMBEDDINGS, TOOLS, ['workload.tools: has no place in endpoint = "embeddings"']),
    "images of completions": (COMPLETIONS, "images = {}", ["workload.images: has no place in endpoint ="]),
    "sound of embeddings": (EMBEDDINGS, "audio = {}", ["workload.audio: has no place in endpoint ="]),
    "a cap of embeddings": (
        EMBEDDINGS,
        "output_tokens = 5",
        ["workload.output_tokens: bounds nothing: embeddings endpoints write no text; leave it out"],
    ),
    "a batch of chat": ('model = "m"', "batch = 2", ["workload.batch: is not for chat endpoints; leave it"]),
    "image output of chat": (
        'model = "m"',
        'image_output = { quality = "low" }',
        ['workload.image_output: is not for chat endpoints; write endpoint = "images"'],
    ),
    "what is said, in extra_body": (
        'model = "m"\nendpoint = "responses"\nextra_body = { input = "hi" }',
        "",
        ["targets[0].extra_body.input: is set by loadgen for every request"],
    ),
    "no size": ('model = "m"', 'images = { size = "big" }', ['workload.images.size: "big" is not a size in']),
    "too large": ('model = "m"', 'images = { size = "9000x9" }', ['"9000x9" is larger than images are']),
    "size of nothing": ('model = "m"', 'images = { size = "0x9" }', ['"0x9" is not a size in pixels']),
    "too many": ('model = "m"', "images = { count = 1001 }", ["1001 images are more than any request has"]),
    "no sound": ('model = "m"', "audio = { seconds = 0 }", ["workload.audio.seconds: 0.0 is no length of a"]),
    "too long": ('model = "m"', "audio = { seconds = 4000 }", ["4000.0 is no length of a sound; write"]),
    "no image": (
        'model = "m"',
        'images = { files = ["a.png", "a.txt"] }',
        ['a.txt" is no image that endpoints take; name a PNG, JPEG, WebP or GIF file'],
    ),
    "a sound as image": ('model = "m"', 'images = { files = ["a.wav"] }', ["workload.images.files[0]: "]),
    "an image as sound": ('model = "m"', 'audio = { files = ["a.png"] }', ['a.png" is no sound that']),
    "no file": ('model = "m"', 'audio = { files = ["b.wav"] }', ['b.wav" does not exist']),
}


@pytest.mark.parametrize(("target", "workload", "says"), WRONG.values(), ids=WRONG.keys())
def test_one_line_for_each_mistake(tmp_path: Path, target: str, workload: str, says: list[str]) -> None:
    lines = lines_of(written(tmp_path, target, workload))
    assert len(lines) == len(says)
    for line, part in zip(lines, says, strict=True):
        assert part in line


RIGHT = {
    "an image model where images are made": (OF_IMAGES, 'image_output = { quality = "low", n = 2 }'),
    "whole answers of a model that does not stream": (f"{IMAGE_MODEL}\nstream = false", ""),
    "sources that disagree": ('model = "gemini-3.1-pro"\nextra_body = { reasoning_effort = "high" }', ""),
    "an unknown model": (
        'model = "m"\nextra_body = { thinking = { type = "enabled" } }',
        f"images = {{}}\n{TOOLS}",
    ),
    "an alias": ('model = "gemini-3.1-pro-preview"', f"images = {{}}\naudio = {{}}\n{TOOLS}"),
    "a batch of embeddings": (EMBEDDINGS, 'batch = 16\nsource = "prose"'),
    "conversations of completions": (COMPLETIONS, "turns = 2"),
    "files": ('model = "m"', 'images = { files = ["a.png"] }\naudio = { files = ["a.wav"] }'),
    "a text as format": (
        'model = "gpt-image-1-mini"\nstream = false\nextra_body = { text = { format = {} } }',
        "",
    ),
}


@pytest.mark.parametrize(("target", "workload"), RIGHT.values(), ids=RIGHT.keys())
def test_what_is_not_denied_runs(tmp_path: Path, target: str, workload: str) -> None:
    load(written(tmp_path, target, workload))


def test_the_users_own_file_overrides_a_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "models.toml"
    own.write_text(
        '[sources.mine]\ntitle = "tried it"\ndate = "2026-11"\n'
        '[models."gpt-4o-2024-11-20".mine]\ncapabilities = { image_input = true }\n'
        "[models.small.mine]\ncontext_tokens = 500\ncapabilities = { reasoning = false, tools = false }\n"
    )
    monkeypatch.setenv("LOADGEN_MODELS", str(own))
    load(written(tmp_path, 'model = "gpt-4o-2024-11-20"', "images = {}"))
    effort = 'model = "small"\nextra_body = { reasoning_effort = "low" }'
    (line,) = lines_of(written(tmp_path, effort))
    assert '"small" does not reason, says tried it; leave the reasoning effort out of extra_body' in line
    load(written(tmp_path, effort.replace('"low"', '"none"')))
    assert load(written(tmp_path, 'model = "small"')).context_tokens == 500


def test_a_window_is_the_targets_own_before_the_catalogues(tmp_path: Path) -> None:
    known = 'model = "gpt-5.5"\nbase_url = "http://127.0.0.1:9/v1"'
    assert load(written(tmp_path, known)).context_tokens == 64_000
    assert load(written(tmp_path, f'{known}\ncontext = "200k"')).context_tokens == 200_000
    assert load(written(tmp_path, 'model = "m"')).context_tokens is None


def test_several_kinds_in_one_scenario(tmp_path: Path) -> None:
    second = '[[targets]]\nname = "b"\nmodel = "e"\nendpoint = "embeddings"\n'
    path = scenario(tmp_path, target=second, workload="output_tokens = 9")
    assert load(path).endpoints == ("chat", "embeddings")
    path = scenario(tmp_path, target=second, workload="batch = 9\nturns = 2")
    turns, batch = lines_of(path)
    assert 'workload.turns: has no place in endpoint = "embeddings" (target "b")' in turns
    assert "workload.batch: is not for chat endpoints" in batch


def test_only_what_reaches_a_target_counts(tmp_path: Path) -> None:
    """A target that only takes part in routes is asked no more than they send it."""
    text = (
        'name = "s"\n'
        '[[targets]]\nname = "eyes"\nmodel = "gpt-5.5"\nalone = false\n'
        '[[targets]]\nname = "words"\nmodel = "gpt-4o-2024-11-20"\nalone = false\n'
        '[[workload]]\nsource = "prose"\ntask = "diagram"\nimages = {}\nprompt_tokens = 100\n'
        '[[workload]]\nsource = "prose"\ntask = "chat"\nprompt_tokens = 100\n'
        '[[routes]]\ntask = "diagram"\nto = "eyes"\n[[routes]]\nto = "words"\n' + LOAD
    )
    path = tmp_path / "s.toml"
    path.write_text(text)
    load(path)
    path.write_text(text.replace('task = "diagram"\nto', 'task = "diagram"\nprompt_tokens_up_to = 90\nto'))
    assert any('"gpt-4o-2024-11-20" takes no images' in line for line in lines_of(path))
    path.write_text(text.replace('model = "gpt-4o-2024-11-20"', 'model = "e"\nendpoint = "embeddings"'))
    (line,) = lines_of(path)
    assert 'routes: mix endpoint = "chat" and "embeddings", which take different words' in line


def test_a_trace_is_not_replayed_in_batches(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"prompt": "hi", "timestamp": 0}\n')
    workload = 'source = "jsonl"\nfile = "t.jsonl"\nbatch = 2'
    (line,) = lines_of(written(tmp_path, EMBEDDINGS, workload, load_keys="[load]\ntrace = {}\n"))
    assert "load.trace: is when each session came, and workload.batch puts several" in line
