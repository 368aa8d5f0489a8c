"""Scripts under examples as modules, whose settings and tables the tests share instead of copying them."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"


def script(name: str) -> ModuleType:
    """Import a script of the benchmarks or the studies without running it."""
    folders = [str(EXAMPLES / kind) for kind in ("benchmarks", "studies")]
    sys.path[:0] = folders
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[: len(folders)]
