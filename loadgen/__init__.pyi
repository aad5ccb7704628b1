from loadgen.answers.compared import compare as compare
from loadgen.answers.within import open_run as open_run
from loadgen.api import RunOptions as RunOptions
from loadgen.api import run as run
from loadgen.scenario.load import load as load_scenario

__all__ = ["RunOptions", "__version__", "compare", "load_scenario", "open_run", "run"]
__version__: str
