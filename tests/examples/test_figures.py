"""The tables of docs/ are those of the rows that are kept, and worked figures are those that are computed.

A row that was measured again and a table that was not changed with it disagree.

Cost: 10 s.
"""

import pytest

from ..slow import slow_but
from .scripts import EXAMPLES, script

figures, worked = script("figures"), script("worked")
PAGE = figures.PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", figures.TABLES)
def test_the_page_has_the_tables_of_the_rows(name: str):
    page = figures.page_of(name).read_text("utf-8")
    assert figures.updated(page, name) == page


def test_a_table_that_differs_is_noticed():
    lines = figures.TABLES["useless_actions"]()
    other = PAGE.replace(lines[3], lines[3].replace("2", "3"))
    assert other != PAGE
    assert figures.updated(other, "useless_actions") == PAGE
    with pytest.raises(SystemExit, match="Expected"):
        figures.updated(PAGE.replace(lines[0], ""), "useless_actions")


@pytest.mark.parametrize("name", figures.PIECES)
def test_the_sentences_of_the_page_are_those_of_the_rows(name: str):
    text = " ".join(PAGE.split())
    assert [piece for piece in figures.PIECES[name]() if piece not in text] == []


@pytest.mark.parametrize("page", slow_but(worked.PAGES, *set(worked.PAGES) - {"docs/theory.md"}))
def test_a_page_has_the_figures_that_are_computed(page: str):
    text = " ".join((EXAMPLES.parent / page).read_text().split())
    missing = [piece for piece in worked.PAGES[page]() if piece not in text]
    assert missing == []


def test_the_readme_says_what_the_default_agent_earns():
    text = " ".join(figures.README.read_text("utf-8").split())
    assert [piece for piece in figures.readme() if piece not in text] == []
