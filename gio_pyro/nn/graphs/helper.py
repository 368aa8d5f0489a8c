"""Compile one graph and write the result: `python -m gio_pyro.nn.graphs.helper GRAPH RESULT PARENT LINGERS`.

The graph is a pickle that the parent process has just written for this helper alone.
"""

import os
import pickle
import shutil
import sys
import threading
import time
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch._inductor.compile_fx  # with all that compilation needs, which `torch` alone does not import
from torch import Tensor, fx

from gio_pyro.nn.graphs.cache import alone_with, in_turn, partial_of
from gio_pyro.nn.graphs.decompositions import FUSED, trace

NICENESS = 5
"""Of a helper that is not waited for: it yields to the run, yet has its turn where all processors are busy. At 19 a
graph of some seconds took twenty minutes beside three runs on two processors."""


def main(graph: str, result: str, parent: str, lingers: str) -> None:
    """Compile a graph to the file `result`, atomically, and end `lingers` seconds after the process `parent`."""
    place, folder = Path(result), Path(graph).parent
    partial = partial_of(place, os.getpid())
    _live_with(int(parent), int(lingers), partial, folder)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    module, meta = pickle.loads(Path(graph).read_bytes())
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with alone_with(place), nullcontext() if lingers == "0" else in_turn():
            if not place.is_file():
                compile_to(module, meta, partial)
                os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)
        if os.getppid() != int(parent):
            shutil.rmtree(folder, ignore_errors=True)  # nobody is going to read the log
    shutil.rmtree(folder, ignore_errors=True)  # its log is of use only where this fails


@torch.no_grad()
def compile_to(module: fx.GraphModule, meta: tuple[Any, ...], place: Path) -> None:
    """Compile a graph for inputs of the given shape, strides, dtype and device."""
    inputs = tuple(_example(*one) for one in meta)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written_out = trace(module, inputs, FUSED)
        written_out.graph.eliminate_dead_code()
        program = torch.export.export(written_out, inputs, strict=False)
        torch._inductor.aoti_compile_and_package(program, package_path=str(place))


def _example(shape: tuple[int, ...], strides: tuple[int, ...], kind: torch.dtype, device: str) -> Tensor:
    return torch.empty_strided(shape, strides, dtype=kind, device=device).zero_()


def _live_with(parent: int, lingers: int, partial: Path, folder: Path) -> None:
    """End `lingers` seconds after the parent, however that ended, and leave nothing; at a low priority if above 0.

    A parent that waits for the result has no use for it when it has ended.
    """
    if lingers and hasattr(os, "nice"):
        os.nice(NICENESS)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        time.sleep(lingers)
        partial.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
