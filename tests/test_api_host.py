"""What a report says of the machine is true of the run."""

import importlib.util
import subprocess
import sys

from loadgen import api


def test_the_loop_that_a_report_names_is_the_one_that_runs() -> None:
    factory = api._loop_factory()
    name = "asyncio" if factory is None else factory.__module__.partition(".")[0]
    assert api._host()["loop"] == name
    assert (name == "uvloop") is (importlib.util.find_spec("uvloop") is not None)


def test_it_is_known_before_the_loop_was_made() -> None:
    """A fresh interpreter: nothing has imported the loop's package yet."""
    told = subprocess.run(
        [sys.executable, "-c", "from loadgen import api; print(api._host()['loop'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == api._host()["loop"]
