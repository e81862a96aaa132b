"""The docs can be read in a terminal."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WIDEST = 100
PAGES = [str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_short(page: str) -> None:
    """Tables and pictures apart, whose rows cannot be wrapped."""
    lines = (ROOT / page).read_text().splitlines()
    wide = [n for n, line in enumerate(lines, 1) if len(line) > WIDEST and not line.lstrip().startswith(("|", "!["))]
    assert not wide, f"{page}: lines {wide} have more than {WIDEST} columns"
