r"""Equations as MathML, converted when the site is built: a page needs no script and no font from elsewhere.

`pymdownx.arithmatex` has marked them; `\tag{n}` becomes the number at the right, and `#equation-n` leads to it.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

MARKED = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
NAMES = re.compile(r"(?<!sup>)(?<!sub>)(?<!der>)(<mi>(?:log|exp|max|min|tanh|det)</mi>)(?!<mo)")
"""Functions, which have a space before their argument unless it is in brackets."""
LONG = 50
"""Characters of an equation in the text beyond which a phone may have to scroll it."""
TAG = re.compile(r"\\tag\{(\d+)\}")


def on_page_content(content: str, **_: Any) -> str:
    """Replace every marked equation of a page."""
    return MARKED.sub(lambda found: rendered(html.unescape(found[2]), display=found[1] == "div"), content)


def rendered(latex: str, *, display: bool) -> str:
    """Return an equation as HTML."""
    tag = TAG.search(latex)
    plain = TAG.sub("", latex).replace("{aligned}", "{align*}").strip()
    body = convert(plain, display="block" if display else "inline")
    body = NAMES.sub(r'\1<mspace width="0.17em"></mspace>', body)
    if not display:
        return f'<span class="long">{body}</span>' if len(latex) > LONG else body
    number = f'<span class="number">({tag[1]})</span>' if tag else ""
    mark = f' id="equation-{tag[1]}"' if tag else ""
    return f'<div class="equation"{mark}><div class="scroll">{body}</div>{number}</div>'
