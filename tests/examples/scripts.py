"""Scripts under examples as modules: run without a process of their own, and their settings and tables shared."""

import importlib
import io
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import torch

EXAMPLES = Path(__file__).parents[2] / "examples"


def script(name: str) -> ModuleType:
    """Import a script of the benchmarks or the studies without running it."""
    folders = [str(EXAMPLES / kind) for kind in ("benchmarks", "studies")]
    sys.path[:0] = folders
    try:
        return importlib.import_module(name)
    finally:
        del sys.path[: len(folders)]


@dataclass(frozen=True)
class Done:
    """What a script left."""

    returncode: int
    stdout: str
    stderr: str


def run(name: str, *arguments: object) -> Done:
    """Run the `main` of a script with the arguments of a command line; threads and warnings are put back after."""
    out, err, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
    given = [name, *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), patch.object(sys, "argv", given):
            status = script(name.removesuffix(".py")).main()
    finally:
        torch.set_num_threads(threads)
    return Done(int(status or 0), out.getvalue(), err.getvalue())
