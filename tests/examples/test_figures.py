"""The tables of the README are those of the rows that are kept, and worked figures are those that are computed.

A row that was measured again and a table that was not changed with it disagree.

Cost: 10 s.
"""

from pathlib import Path

import pytest

from ..slow import slow_but
from .scripts import EXAMPLES, script

figures, worked = script("figures"), script("worked")
README = Path(figures.README).read_text()


@pytest.mark.parametrize("name", figures.TABLES)
def test_the_readme_has_the_tables_of_the_rows(name: str):
    assert figures.updated(README, name) == README


def test_a_table_that_differs_is_noticed():
    lines = figures.TABLES["useless_actions"]()
    other = README.replace(lines[3], lines[3].replace("2", "3"))
    assert other != README
    assert figures.updated(other, "useless_actions") == README
    with pytest.raises(SystemExit, match="Expected"):
        figures.updated(README.replace(lines[0], ""), "useless_actions")


@pytest.mark.parametrize("name", figures.PIECES)
def test_the_readmes_sentences_are_those_of_the_rows(name: str):
    text = " ".join(README.split())
    assert [piece for piece in figures.PIECES[name]() if piece not in text] == []


@pytest.mark.parametrize("page", slow_but(worked.PAGES, *set(worked.PAGES) - {"docs/theory.md"}))
def test_a_page_has_the_figures_that_are_computed(page: str):
    text = " ".join((EXAMPLES.parent / page).read_text().split())
    missing = [piece for piece in worked.PAGES[page]() if piece not in text]
    assert missing == []
