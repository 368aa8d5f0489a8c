"""Text for people: columns of names and values."""

from collections.abc import Sequence


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return names and values in two columns, a line for each row."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
