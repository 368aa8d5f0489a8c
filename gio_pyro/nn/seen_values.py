"""Tables with entries for the values that were seen in each row, and one entry for all others."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

DENSE = 64
"""Most values for which a table has an entry for each; it is then small, and needs no lists."""
EMPTY = -1


class SeenValues(nn.Module):
    """The values that were seen in each of R rows: K places a row, more when a row fills.

    Place 0 of a row is that of all values not seen in it; the places of the values follow.

    Args:
        rows: R.
        count: F, how many values there are.

    Attributes:
        begun: whether any value was listed.
    """

    values: Tensor
    """`[R, K]` integers, −1 at places not used."""

    def __init__(self, rows: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.begun = False
        self.register_buffer("values", torch.full((rows, 1), EMPTY))

    def place(self, row: Tensor, value: Tensor) -> Tensor:
        """Return the place of each value in its row, `[B]` integers from 0 to K."""
        found = self.values[row] == value.unsqueeze(-1)
        return (found * self._numbers()).sum(-1)

    def others(self, row: Tensor) -> Tensor:
        """Return how many values were not seen in each row, at least 1, `[B]`."""
        return (self.count - (self.values[row] != EMPTY).sum(-1)).clamp_min(1)

    def entries_of(self, table: Tensor, row: Tensor) -> Tensor:
        """Return the entries of rows `[B]`, that of the values not seen first, `[B, 1 + K]`."""
        return nn.functional.embedding(row, table)

    def entry_of(self, table: Tensor, row: Tensor, value: Tensor) -> Tensor:
        """Return the entry of each value in its row, `[B, A]`, of a table `[R, 1 + K, A]`."""
        return nn.functional.embedding(row * table.shape[1] + self.place(row, value), table.flatten(0, 1))

    @torch.no_grad()
    def add(self, row: Tensor, value: Tensor, table: nn.Parameter) -> None:
        """List values `[B]` of rows `[B]`; their entries of `table` begin with that of the values not seen.

        Args:
            row: `[B]`.
            value: `[B]`.
            table: `[R, 1 + K, ...]`; it grows with the lists.
        """
        self.begun = True
        new = self.place(row, value) == 0
        row, value = torch.unique(torch.stack([row[new], value[new]], -1), dim=0).unbind(-1)
        if not len(row):
            return
        number = torch.arange(len(row), device=row.device)
        first = torch.ones_like(row, dtype=torch.bool)
        first[1:] = row[1:] != row[:-1]
        rank = number - torch.where(first, number, 0).cummax(0).values
        place = (self.values != EMPTY).sum(-1)[row] + rank
        self._grow(int(place.max()) + 1, table)
        self.values[row, place] = value
        table[row, 1 + place] = table[row, 0]

    def _grow(self, need: int, table: nn.Parameter) -> None:
        """Make room for `need` values in every row, by doubling."""
        have = self.values.shape[-1]
        if need <= have:
            return
        more = min(max(need, 2 * have), self.count) - have
        self.values = nn.functional.pad(self.values, (0, more), value=EMPTY)
        resize(table, torch.cat([table.data, table.data.new_zeros(len(table), more, *table.shape[2:])], 1))

    def _numbers(self) -> Tensor:
        return torch.arange(1, 1 + self.values.shape[-1], device=self.values.device)


def load_seen(table: nn.Parameter, seen: SeenValues | None, saved: Mapping[str, Any], prefix: str) -> SeenValues | None:
    """Resize a table and its lists to those of a checkpoint that is about to be loaded; return the lists.

    Args:
        table: loaded from `prefix` + "table".
        seen: loaded from `prefix` + "seen."; None for a full table.
        saved: the state of the program.
        prefix: of its keys.

    Returns:
        The lists; None for a checkpoint of a full table, which is kept full.
    """
    entries, values = saved.get(f"{prefix}table"), saved.get(f"{prefix}seen.values")
    if seen is None or not isinstance(entries, Tensor):
        return seen
    if values is None:
        resize(table, table.data.new_zeros(entries.shape))
        return None
    rows = len(seen.values)
    if values.ndim == 2 and len(values) == rows and entries.shape[:2] == (rows, 1 + values.shape[1]):
        seen.values = seen.values.new_full(values.shape, EMPTY)
        seen.begun = bool((values != EMPTY).any())
        resize(table, table.data.new_zeros(rows, 1 + values.shape[1], *table.shape[2:]))
    return seen


def resize(parameter: nn.Parameter, values: Tensor) -> None:
    """Give a parameter values of another shape.

    Where a loss that was computed from it is still alive, torch keeps the shape of its gradient, unless the type
    changes in between.
    """
    parameter.data = torch.empty(0, dtype=torch.float16, device=parameter.device)
    parameter.data = values
