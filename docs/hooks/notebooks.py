"""The notebooks of examples/ as pages, with the outputs that are stored in them; nothing is executed."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = "notebooks"


def on_config(config: Any) -> Any:
    """Put the notebooks into the navigation, after the results."""
    pages = [f"{FOLDER}/{path.stem}.md" for path in notebooks()]
    config["nav"].insert(-1, {"Notebooks": pages})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each notebook and a file for each picture."""
    for path in notebooks():
        text, pictures = converted(json.loads(path.read_text("utf-8")), path.stem)
        files.append(File.generated(config, f"{FOLDER}/{path.stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{FOLDER}/{name}", content=content))
    return files


def notebooks() -> list[Path]:
    """Return the notebooks in the order in which they are read."""
    return sorted(EXAMPLES.glob("*.ipynb"), key=lambda path: int(path.stem.partition("_")[0]))


def converted(notebook: dict[str, Any], stem: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by name."""
    pieces: list[str] = []
    pictures: dict[str, bytes] = {}
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            pieces.append(source)
            continue
        pieces.append(f"```python\n{source}\n```")
        for place, output in enumerate(cell["outputs"]):
            pieces.extend(shown(output, f"{stem}-{number}-{place}.png", pictures))
    pieces.insert(1, f"*This page is the notebook `examples/{stem}.ipynb`; its outputs are stored in it.*")
    return "\n\n".join(pieces) + "\n", pictures


def shown(output: dict[str, Any], name: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """Yield an output as Markdown: a picture where there is one, its text otherwise."""
    data = output.get("data", {})
    if "image/png" in data:
        pictures[name] = base64.b64decode("".join(data["image/png"]))
        yield f"![]({name})"
    else:
        text = "".join(output.get("text", data.get("text/plain", ""))).rstrip()
        yield f'<div class="output" markdown>\n```text\n{text}\n```\n</div>'
