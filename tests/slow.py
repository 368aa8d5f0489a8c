"""Which values of a parametrised test the default command leaves out."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(values: Iterable[Any], *quick: Any) -> list[Any]:
    """Mark every value as slow but those of `quick`."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.slow) for value in values]
