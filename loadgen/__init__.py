"""loadgen: a load tester for LLM endpoints whose numbers can be trusted.

`load_scenario`, `run` (with `RunOptions`), `open_run`, `compare`: what the commands do, as typed objects; see
docs/python.md. Their types are in __init__.pyi: they are imported when they are asked for, since
`loadgen --help` needs none of them.
"""

from importlib import import_module
from typing import Any, Final

__version__ = "0.1.0"

_WHERE: Final = {
    "load_scenario": ("loadgen.scenario.load", "load"),
    "run": ("loadgen.api", "run"),
    "RunOptions": ("loadgen.api", "RunOptions"),
    "open_run": ("loadgen.answers.within", "open_run"),
    "compare": ("loadgen.answers.compared", "compare"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _WHERE[name]
    found = getattr(import_module(module), attribute)
    globals()[name] = found  # importing `run` has put the package of that name in its place
    return found
