"""Functions as the operations of a call, and operations written out as simpler ones.

`EXACT` have the same results bit for bit, and serve the captured graph. `FUSED` are for the compiler, which fuses what
is written out: the library's kernels are closed to it.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten


def empty_like(tensor: Tensor, **how: Any) -> Any:
    """Return an empty tensor of the same layout, whose shape is a constant, so that draws into it need no data."""
    if not tensor.is_contiguous() or how.get("memory_format") not in (None, torch.preserve_format):
        return NotImplemented
    kind, device = how.get("dtype") or tensor.dtype, how.get("device") or tensor.device
    return torch.empty(tuple(tensor.shape), dtype=kind, device=device)


def randn_like(tensor: Tensor, **how: Any) -> Any:
    """Return standard normal draws of the same layout."""
    found = empty_like(tensor, **how)
    return found if found is NotImplemented else found.normal_()


def rand_like(tensor: Tensor, **how: Any) -> Any:
    """Return uniform draws of the same layout."""
    found = empty_like(tensor, **how)
    return found if found is NotImplemented else found.uniform_()


def multinomial(
    weights: Tensor, num_samples: int, replacement: bool = False, *, generator: torch.Generator | None = None
) -> Any:
    """Return one draw as torch makes it, from exponential numbers that do not depend on the weights."""
    if num_samples != 1 or generator is not None:
        return NotImplemented
    noise = torch.empty_like(weights).exponential_()
    return (weights / noise).argmax(-1, keepdim=True)


def normal(mean: Tensor, deviation: Tensor, *, generator: torch.Generator | None = None) -> Any:
    """Return normal draws as torch makes them, from standard ones that do not depend on the moments."""
    if generator is not None:
        return NotImplemented
    shape = torch.broadcast_shapes(mean.shape, deviation.shape)
    return torch.empty(shape, dtype=mean.dtype, device=mean.device).normal_() * deviation + mean


def fused_adam_(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    _largest: Sequence[Tensor],
    steps: Sequence[Tensor],
    *,
    lr: float | Tensor,
    beta1: float,
    beta2: float,
    weight_decay: float,
    eps: float,
    amsgrad: bool,
    maximize: bool,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
) -> Any:
    """Write out a step of Adam (Kingma and Ba, 2015, arXiv 1412.6980), left out where `found_inf` is 1."""
    if amsgrad or maximize or weight_decay or grad_scale is not None:
        return NotImplemented
    for parameter, gradient, mean, square, step in zip(parameters, gradients, means, squares, steps, strict=True):
        new_mean = mean + (gradient - mean) * (1 - beta1)
        new_square = square * beta2 + gradient * gradient * (1 - beta2)
        size, root = lr / (1 - beta1**step), (1 - beta2**step).sqrt()
        new = parameter - size * new_mean / (new_square.sqrt() / root + eps)
        for old, value in ((mean, new_mean), (square, new_square), (parameter, new)):
            old.copy_(value if found_inf is None else torch.where(found_inf == 0, value, old))
    return None


def foreach_norm(tensors: Sequence[Tensor], order: float = 2, dtype: torch.dtype | None = None) -> Any:
    """Return the Euclidean norm of each tensor."""
    if order != 2 or dtype is not None:
        return NotImplemented
    return [tensor.square().sum().sqrt() for tensor in tensors]


def foreach_lerp_(tensors: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Move each tensor towards its end by a share of the distance."""
    for tensor, end in zip(tensors, ends, strict=True):
        tensor.copy_(tensor + (end - tensor) * weight)


def foreach_add_(tensors: Sequence[Tensor], number: float) -> None:
    """Add a number to each tensor."""
    for tensor in tensors:
        tensor.copy_(tensor + number)


def foreach_sub_(tensors: Sequence[Tensor], others: Sequence[Tensor], alpha: float = 1) -> None:
    """Subtract another tensor from each one."""
    for tensor, other in zip(tensors, others, strict=True):
        tensor.copy_(tensor - alpha * other)


EXACT: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        aten.multinomial.default: multinomial,
        aten.normal.Tensor_Tensor: normal,
        aten.empty_like.default: empty_like,
        aten.randn_like.default: randn_like,
        aten.rand_like.default: rand_like,
    }
)
FUSED: Mapping[Any, Callable[..., Any]] = MappingProxyType(
    {
        aten._fused_adam_.default: fused_adam_,
        aten._fused_adam_.tensor_lr: fused_adam_,
        aten._foreach_norm.Scalar: foreach_norm,
        aten._foreach_lerp_.Scalar: foreach_lerp_,
        aten._foreach_add_.Scalar: foreach_add_,
        aten._foreach_sub_.List: foreach_sub_,
    }
)


def trace(
    function: Callable[..., Any], inputs: Sequence[Tensor], simpler: Mapping[Any, Any] = MappingProxyType({})
) -> fx.GraphModule:
    """Return the operations of one call of a function, those of a table written out as simpler ones.

    One mode describes every tensor. Without it torch makes one for each operation, with the calls that led there, and
    tracing takes two to four times as long.
    """
    from torch._guards import TracingContext, tracing  # slow to import, all three
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    with tracing(TracingContext(FakeTensorMode())):
        return make_fx(function, decomposition_table=dict(simpler))(*inputs)
