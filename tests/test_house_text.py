"""No file of the project names a package registry's host or a path of the machine it was made on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# written in two parts, so that this file does not find itself
REGISTRIES = ("pypi" + ".org", "python" + "hosted.org", "npmjs" + ".", "deb" + ".debian")
MACHINE_PATHS = ("/" + "work", "/" + "root", "/" + "tmp/w")
FORBIDDEN = re.compile(
    "|".join([*map(re.escape, REGISTRIES), *(rf"(?<![\w.~-]){path}\b" for path in MACHINE_PATHS)])
)


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://" + REGISTRIES[0] + "/simple", True),
        ("files." + REGISTRIES[1], True),
        ('"' + MACHINE_PATHS[0] + '/main"', True),
        (MACHINE_PATHS[2] + "/venv", True),
        ("docs" + MACHINE_PATHS[0] + "load.md", False),
        ("(" + MACHINE_PATHS[0] + "load/prompt.py)", False),
        (MACHINE_PATHS[2] + "arm", False),
        ("the network", False),
    ],
    ids=["index", "files", "quoted path", "longer path", "room", "link to a room", "other word", "words"],
)
def test_what_is_looked_for(text: str, found: bool) -> None:
    assert bool(FORBIDDEN.search(text)) == found


def test_no_registry_and_no_path_of_this_machine() -> None:
    found = []
    for path in tracked_files():
        if not path.is_file():  # deleted, not yet committed
            continue
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
            if match := FORBIDDEN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found
