"""Compile one graph and write the result: `python -m gio_pyro.nn.graphs.helper GRAPH RESULT`.

The graph is a pickle that the parent process has just written for this helper alone.
"""

import os
import pickle
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import torch
import torch._inductor.compile_fx  # with all that compilation needs, which `torch` alone does not import
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from gio_pyro.nn.graphs.decompositions import FUSED


def main(graph: str, result: str) -> None:
    """Compile a graph to the file `result`, atomically."""
    _live_with_parent()
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    module, meta = pickle.loads(Path(graph).read_bytes())
    place = Path(result)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = place.with_name(f"{place.stem}-{os.getpid()}{place.suffix}")
    try:
        compile_to(module, meta, partial)
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)


@torch.no_grad()
def compile_to(module: fx.GraphModule, meta: tuple[Any, ...], place: Path) -> None:
    """Compile a graph for inputs of the given shape, strides, dtype and device."""
    inputs = tuple(_example(*one) for one in meta)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written_out = make_fx(module, decomposition_table=dict(FUSED))(*inputs)
        written_out.graph.eliminate_dead_code()
        program = torch.export.export(written_out, inputs, strict=False)
        torch._inductor.aoti_compile_and_package(program, package_path=str(place))


def _example(shape: tuple[int, ...], strides: tuple[int, ...], kind: torch.dtype, device: str) -> Tensor:
    return torch.empty_strided(shape, strides, dtype=kind, device=device).zero_()


def _live_with_parent() -> None:
    """End when the parent has ended, however it did; at the lowest priority, unless the parent waits."""
    if hasattr(os, "nice") and os.environ.get("GIO_PYRO_WAITS") != "1":
        os.nice(19)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
