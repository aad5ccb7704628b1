"""What `--help` costs, and that the documents say what the program says."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.scenario.load import load

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMANDS = sorted(name for name, command in main.commands.items() if not command.hidden)
NOT_FOR_HELP = {
    "aiohttp",
    "asyncio",
    "httptools",
    "jinja2",
    "msgspec",
    "numpy",
    "orjson",
    "plotly",
    "rich",
    "uvloop",
}


def marked_blocks(mark: str) -> Iterator[tuple[str, str, str]]:
    """Blocks after `<!-- MARK: argument -->`: document, argument, text."""
    pattern = re.compile(rf"^<!-- {mark}(?:: (.*?))? -->\n```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        found = pattern.findall(text)
        assert len(found) == len(re.findall(rf"^<!-- {mark}\b", text, re.MULTILINE)), f"a mark in {path.name}"
        yield from ((path.name, argument, block) for argument, block in found)


@pytest.mark.parametrize("args", [[], *([name] for name in COMMANDS)], ids=["loadgen", *COMMANDS])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    program = [sys.executable, "-X", "importtime", "-m", "loadgen", *args, "--help"]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not NOT_FOR_HELP & imported


HELP = list(marked_blocks("help"))


@pytest.mark.parametrize(("document", "command", "text"), HELP, ids=[f"{d}:{c}" for d, c, _ in HELP])
def test_a_help_text_is_what_the_program_prints(document: str, command: str, text: str) -> None:
    _, *args = command.split()
    # 80 columns wide, as where there is no terminal
    printed = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*args, "--help"], prog_name="loadgen")
    assert printed.exit_code == 0
    assert text == printed.output


def test_every_command_is_in_the_readme() -> None:
    there = {command for document, command, _ in HELP if document == "README.md"}
    assert there == {"loadgen", *(f"loadgen {name}" for name in COMMANDS)}


SCENARIOS = list(marked_blocks("scenario"))


@pytest.mark.parametrize(("document", "name", "text"), SCENARIOS, ids=[f"{d}:{n}" for d, n, _ in SCENARIOS])
def test_a_scenario_in_a_document_is_one(document: str, name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name or 'example'}.toml"
    path.write_text(text, "utf-8")
    assert load(path, []).targets


def test_the_readme_has_a_whole_scenario() -> None:
    assert [text for document, _, text in SCENARIOS if document == "README.md"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=[p.name for p in DOCUMENTS])
def test_links_of_a_document_lead_somewhere(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):  # pictures are made afterwards
        file, _, heading = target.partition("#")
        if "://" in file:
            continue
        found = (path.parent / file) if file else path
        if not found.exists() or (heading and heading not in headings(found)):
            wrong.append(target)
    assert not wrong


def headings(path: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
