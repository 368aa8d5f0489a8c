"""Things with their numbers as text, as the command line and checkpoints write them: `Return(50, discount=0.9)`."""

import ast
from typing import Any


def parsed(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the name and the literal arguments of a call, or of a name alone; an empty name for anything else."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        numbers = [ast.literal_eval(value) for value in call.args]
        pairs = [(keyword.arg or "", ast.literal_eval(keyword.value)) for keyword in call.keywords]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "", [], {}
    twice = len(dict(pairs)) < len(pairs)
    return ("" if twice or not isinstance(call.func, ast.Name) else call.func.id), numbers, dict(pairs)
