"""Chains of `pyro.infer.NUTS` on a model whose future is observed."""

from __future__ import annotations

import warnings

import torch
from pyro import poutine
from pyro.infer import MCMC, NUTS
from pyro.infer.autoguide import init_to_sample
from torch import Tensor

from gio_pyro.diagnostics.program_pair import Pair, shared_site
from gio_pyro.errors import InputError, ProgramError, describe_error


def chains_of_nuts(
    pair: Pair, chains: int, draws: int, warmup: int, jit_compile: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Return draws from the posterior of every continuous latent site, given the examples' futures.

    Examples are independent given the programs' parameters, and so are chains: one run of NUTS moves all of them, as
    examples of one batch, at the cost of a single chain. Each starts from a draw of the prior, which is wider than the
    posterior, so that R-hat shows whether the chains have met.

    Args:
        pair: the programs and N examples.
        chains: their number C.
        draws: D of each chain, after its warm-up.
        warmup: steps that adapt the step size and the scales.
        jit_compile: of `NUTS`.

    Returns:
        The sites, `[C · D, N, ...]` each, one chain after the other, and whether each step diverged, `[C · D]`.

    Raises:
        InputError: the actions are finite, or the model cannot be traced.
    """
    if pair.policy(pair.state).has_enumerate_support:
        raise InputError('Expected continuous actions for NUTS, but they are finite; take method="enumeration".')
    with torch.enable_grad(), poutine.block():
        model = pair.repeated(chains).conditioned()
        kernel = NUTS(model, init_strategy=init_to_sample, jit_compile=jit_compile, ignore_jit_warnings=True)
        mcmc = MCMC(kernel, num_samples=draws, warmup_steps=warmup, disable_progbar=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit
            try:
                mcmc.run()
            except (RuntimeError, ProgramError) as error:
                if not jit_compile:
                    raise
                raise InputError(
                    f"Expected a model that torch.jit can trace, but it raised {describe_error(error, 100)}; leave out "
                    "jit_compile."
                ) from error
    diverging = torch.zeros(draws, dtype=torch.bool)
    diverging[mcmc.diagnostics()["divergences"]["chain 0"]] = True
    values = {name: value.detach() for name, value in mcmc.get_samples().items()}
    for name, value in values.items():
        if value.ndim < 2 or value.shape[1] != chains * len(pair):
            raise shared_site(name)
    split = {name: value.unflatten(1, (chains, -1)).transpose(0, 1).flatten(0, 1) for name, value in values.items()}
    return split, diverging.repeat(chains)
