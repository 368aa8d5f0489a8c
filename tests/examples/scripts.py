"""Scripts of examples/benchmarks as modules, whose settings and tables the tests share instead of copying them."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"
RESULTS = EXAMPLES / "benchmarks" / "results"


def script(name: str) -> ModuleType:
    """Import a script without running it."""
    sys.path.insert(0, str(EXAMPLES / "benchmarks"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(EXAMPLES / "benchmarks"))
