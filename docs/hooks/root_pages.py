"""Pages that live at the root of the repository: README as the home page, CONTRIBUTING and CHANGELOG."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(\]\(|src=\")(?!https?:|#)([^)\s\"]+)")
"""The target of a link or a picture."""


def on_files(files: Files, config: Any) -> Files:
    """Add each page with its links as seen from the folder of the docs."""
    for name, page in PAGES.items():
        text = LINK.sub(lambda found: found[1] + moved(found[2]), (ROOT / name).read_text("utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def moved(target: str) -> str:
    """Return the target of a link at the root as the site has it; files outside the site have no page of their own."""
    path, mark, anchor = target.partition("#")
    if path in PAGES:
        return PAGES[path] + mark + anchor
    if path.endswith(".ipynb"):
        return f"notebooks/{Path(path).stem}.md"
    return target.removeprefix("docs/")
