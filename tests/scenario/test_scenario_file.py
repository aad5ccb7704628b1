"""A scenario file that can't be read, or is no TOML: one line that names the place."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import fields

from loadgen.errors import ScenarioError
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario, SessionKey, Target, Timeouts
from loadgen.scenario.traffic import Burst, ErrorStop, Load, Stage, Trace, Until
from loadgen.scenario.words import SharedPrefix, Tool, Workload

SCENARIO = Path(__file__).parents[2] / "scenarios" / "code_completion.toml"
GOOD = 'name = "s"\n[[targets]]\nname = "a"\nmodel = "m"\n[load]\nrequests = 1\n'

LEAVES = st.one_of(
    st.sampled_from(
        [
            "5/s",
            "5%",
            "ttft",
            "gamma",
            "env",
            "uniform",
            "empirical",
            "jsonl",
            "http://h/v1",
            "5s",
            "1k",
            ".",
            "",
        ]
    ),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.just(10**400),
    st.floats(),
    st.dates(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
)


NAMES = st.sampled_from(
    [
        *("env", "kind", "min", "max", "value", "values", "name", "stream", "host", "total", "zzz"),
        *(f.encode_name for kind in (Stage, Until, Tool) for f in fields(kind)),
    ]
)
VALUES = st.recursive(
    LEAVES, lambda x: st.lists(x, max_size=2) | st.dictionaries(NAMES, x, max_size=3), max_leaves=8
)
ROOTS: dict[str, type[Struct]] = {
    "": Scenario,
    "targets[0].": Target,
    "targets[0].timeouts.": Timeouts,
    "targets[0].session.": SessionKey,
    "workload.": Workload,
    "workload.shared_prefix.": SharedPrefix,
    "load.": Load,
    "load.burst.": Burst,
    "load.trace.": Trace,
    "load.until.": Until,
    "load.stop_at_errors.": ErrorStop,
}
KEYS = [prefix + field.encode_name for prefix, root in ROOTS.items() for field in fields(root)]


def line_of(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert caught.value.exit_code == 2
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("data", "place", "says"),
    [
        (b"name = \n", ":1:8", "is not TOML: Invalid value"),
        (b'name = "s"\n[load]\nduration = 20s\n', ":3:14", 'write a value with a unit in quotes, like "30s"'),
        (b'name = "s', "", "is not TOML"),
        (b'name = "s"\nname = "t"\n', ":2:11", "is not TOML: Cannot overwrite a value"),
        (b"[targets]\n[targets]\n", ":2:9", "; write [[targets]], in two brackets"),
        (b"[load]\n[load]\n", ":2:6", "; make one table of the two"),
        (b'name = "s"\ndescription = "\xff"\n', ":2", "is not UTF-8; save the file as UTF-8"),
        (b"seed = " + b"9" * 5000, "", "is not TOML"),
        (b"seed = " + b"[" * 5000, "", "is not TOML"),
    ],
    ids=[
        *("no value", "bare unit", "open quote", "key twice", "list as tables", "table twice"),
        *("not utf-8", "huge number", "deep list"),
    ],
)
def test_what_is_no_toml_names_the_line(tmp_path: Path, data: bytes, place: str, says: str) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(data)
    line = line_of(path)
    assert line.startswith(f"{path}{place}: ")
    assert says in line


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path).name == "s"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.toml", "does not exist"),
        (".", "is a directory"),
        ("a\0b", "can't be read"),
        ("s.toml/x", "can't be read"),
    ],
    ids=["missing", "directory", "nul", "below a file"],
)
def test_a_file_that_can_not_be_read(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "s.toml").write_text(GOOD)
    assert says in line_of(tmp_path / name)


@given(st.sampled_from([*KEYS, "targets[0]"]), VALUES)
def test_whatever_a_key_holds_its_mistakes_are_told(key: str, value: object) -> None:
    with contextlib.suppress(ScenarioError):
        assert load(SCENARIO, [(key, value)]).name
