"""The house's order: who may import whom, and how large its parts may become.

A room is a package or a module directly below `loadgen`; the tour is in docs/internals.md.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "loadgen"

# A room imports only from rooms above it in this list, and from itself.
ROOMS = (
    "errors",
    "units",
    "engine",
    "catalog",
    "scenario",
    "workload",
    "plan",
    "wire",
    "measure",
    "results",
    "run",
    "watch",
    "verdict",
    "answers",
    "report",
    "simulator",
    "api",
    "selftest",
    "cli",
    "__main__",
)

# What a room must not know beyond that: the first part of a module's name, or a room of ours.
NETWORK = {"aiohttp", "http", "httptools", "socket", "ssl", "uvloop"}
STRANGERS = {
    "engine": NETWORK | {"asyncio", "datetime", "time"},  # a clockless step machine
    "catalog": NETWORK,
    "workload": NETWORK | {"asyncio", "datetime", "time"},  # the same session, the same words, at any time
    "plan": NETWORK | {"asyncio", "datetime", "time"},
    "measure": NETWORK,
    "results": NETWORK | {"asyncio"},
    "verdict": NETWORK | {"asyncio"},
    "answers": NETWORK | {"asyncio"},
    "report": NETWORK | {"asyncio"},
    # the server side must not share an error with the client that is checked against it
    "simulator": {"workload", "plan", "wire", "measure", "results", "run", "verdict", "report"},
}

# Only these modules may import the package.
ONLY_IN = {"hdrh": {"loadgen.measure.histogram"}}  # its traps are known in one place

EMPTY_NAMES = {"utils", "util", "common", "base", "manager", "helpers", "misc"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_REQUIREMENTS = 12
PATH_OF_A_REQUEST = (
    "run/session.py",
    "wire/client.py",
    "wire/reader.py",
    "wire/stopwatch.py",
    "wire/decode.py",
    "wire/sse.py",
    "measure/sample.py",
    "measure/recorder.py",
)
MAX_PATH_LINES = 1_500


class Import(NamedTuple):
    """One import, at the head of a module or inside a function."""

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """Room of one of our modules; the package itself (its version) belongs to none."""
    return module.removeprefix("loadgen").lstrip(".").partition(".")[0]


def imports_of(name: str) -> Iterator[Import]:
    for node in ast.walk(ast.parse(FILES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(name, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno}: relative imports hide the room"
            assert node.module is not None
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield Import(name, below if below in FILES else node.module, node.lineno)


IMPORTS = [i for name in FILES for i in imports_of(name)]
INTERNAL = [i for i in IMPORTS if i.imported.partition(".")[0] == "loadgen"]


def test_every_room_is_in_the_list() -> None:
    assert {room(name) for name in FILES} - {""} <= set(ROOMS)


def test_the_imports_are_seen() -> None:
    found = {(i.importer, i.imported) for i in INTERNAL}
    assert ("loadgen.api", "loadgen.simulator.process") in found, "one inside a function"
    assert ("loadgen.results.read", "loadgen.results.hlog") in found, "a module taken from its package"
    assert ("loadgen.run.runner", "loadgen.wire.client") in found


def test_a_room_imports_only_from_rooms_above_it() -> None:
    wrong = [
        str(i)
        for i in INTERNAL
        if room(i.imported)
        and (not room(i.importer) or ROOMS.index(room(i.imported)) > ROOMS.index(room(i.importer)))
    ]
    assert not wrong


@pytest.mark.parametrize("name", STRANGERS)
def test_a_room_does_not_know(name: str) -> None:
    strangers = STRANGERS[name]
    wrong = [
        str(i)
        for i in IMPORTS
        if room(i.importer) == name and (i.imported.partition(".")[0] in strangers or is_ours(i, strangers))
    ]
    assert not wrong


def is_ours(i: Import, rooms: set[str]) -> bool:
    return i.imported.startswith("loadgen.") and room(i.imported) in rooms


@pytest.mark.parametrize("package", ONLY_IN)
def test_only_some_modules_import(package: str) -> None:
    assert {i.importer for i in IMPORTS if i.imported.partition(".")[0] == package} == ONLY_IN[package]


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {name: set() for name in FILES}
    for i in INTERNAL:
        graph[i.importer].add(i.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_no_module_has_an_empty_name() -> None:
    assert not [name for name in FILES if EMPTY_NAMES & set(name.split("."))]


def source_files() -> list[Path]:
    folders = (PACKAGE, ROOT / "tests", ROOT / "benchmarks")
    return [p for folder in folders for p in folder.rglob("*") if p.suffix in {".py", ".c", ".h"}]


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_no_file_is_too_long() -> None:
    lengths = {str(p.relative_to(ROOT)): lines_of(p) for p in source_files()}
    assert not {name: n for name, n in lengths.items() if n > MAX_FILE_LINES}


def test_no_function_is_too_long() -> None:
    wrong = []
    for path in source_files():
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines")
    assert not wrong


def test_the_path_of_a_request_can_be_read_in_one_go() -> None:
    lengths = {name: lines_of(PACKAGE / name) for name in PATH_OF_A_REQUEST}
    assert sum(lengths.values()) <= MAX_PATH_LINES, lengths


def test_hard_requirements_are_few_and_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [text.partition(">")[0].strip() for text in project["dependencies"]]
    assert len(names) <= MAX_REQUIREMENTS
    modules = {"hdrhistogram": "hdrh", "tomli-w": "tomli_w"}
    extras = project["optional-dependencies"]
    optional = {text.partition(">")[0].strip() for name in extras if name != "dev" for text in extras[name]}
    imported = {i.imported.partition(".")[0] for i in IMPORTS} - optional
    assert {modules.get(name, name) for name in names} == imported - sys.stdlib_module_names - {"loadgen"}
