"""Why a function has no graph."""


class NotCapturable(Exception):  # noqa: N818 (not shown: a reason)
    """A function that is not one list of tensor operations; the text completes "…, but ___"."""
