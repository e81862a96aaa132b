"""The docs can be read in a terminal."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WIDEST = 100
HISTORY = ("CHANGELOG.md", "docs/lab-notes.md", "docs/decisions", "docs/results")  # what was, where it was
EXAMPLES = ("profiles/mine.yaml",)
PAGES = [str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short(page: str) -> None:
    """Tables and pictures apart, whose rows cannot be wrapped."""
    lines = (ROOT / page).read_text().splitlines()
    wide = [n for n, line in enumerate(lines, 1) if len(line) > WIDEST and not line.lstrip().startswith(("|", "!["))]
    assert not wide, f"{page}: lines {wide} have more than {WIDEST} columns"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text())
    assert not [link for link in links if not (ROOT / page).parent.joinpath(link).exists()]


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith(HISTORY)])
def test_files_that_are_named_are_there(page: str) -> None:
    folders = "avcat|pipelines|stages|tests|benchmarks|profiles"
    named = re.findall(rf"`((?:{folders})/[\w/.-]+\.\w+)`", (ROOT / page).read_text())
    assert not [path for path in named if path not in EXAMPLES and not (ROOT / path).exists()]
