"""Pages from outside docs/, and links: README is the home page, and links lead to where their targets are in the site.

In the repository a link is relative to the file that it is written in, so that it works there, too.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
ALONE = {"index.md", "theory.md"}
"""Pages that are the only one of their tab, where a list of its pages would be one line."""
PICTURES = (".png", ".gif", ".svg")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)")
SOURCE = re.compile(r'src="(?!https?:)([^"]+)"')


def on_files(files: Files, config: Any) -> Files:
    """Add the pages at the root and the pictures that scripts have drawn."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    for path in sorted((ROOT / "examples").glob("*/results/*.png")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page; what is not in the site becomes plain text."""
    here = page.file.src_uri
    if here in ALONE:
        page.meta["hide"] = ["navigation"]
    if here.startswith("reference/"):
        return markdown
    folder = "examples" if here.startswith("notebooks/") else "" if here in PAGES.values() else "docs"

    def link(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        there = moved(folder, target, here)
        return f"{mark}[{text}]({there})" if there else text

    def source(found: re.Match[str]) -> str:
        return f'src="{moved(folder, found[1], here)}"'

    return SOURCE.sub(source, LINK.sub(link, markdown))


def moved(folder: str, target: str, here: str) -> str | None:
    """Return a link from a folder of the repository as seen from a page of the site; None if it leads outside."""
    path, mark, anchor = target.partition("#")
    if folder == "examples" and path.endswith(PICTURES):
        return target  # an output, beside the page of its notebook
    there = in_site(posixpath.normpath(posixpath.join(folder, path)))
    return there and posixpath.relpath(there, posixpath.dirname(here) or ".") + mark + anchor


def in_site(path: str) -> str | None:
    """Return where a file of the repository is in the site, None where it is not."""
    if path in PAGES:
        return PAGES[path]
    if path.endswith(".ipynb"):
        return f"notebooks/{posixpath.basename(path)[:-6]}.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return path if path.endswith(PICTURES) else None
