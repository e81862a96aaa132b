"""A rater's whole way in a real browser: keyboard, a closed tab, a phone, and the three screens around it."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from drawn import talking, tone, write_video
from studies import serving, write_study

from avcat.study.plan import RATINGS, clip_path

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path"),
]
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
KEYS = ("sync", "quality", "realness")
# What browsers do with pages before the first click. Here Playwright's own looking counts as a touch.
NO_AUTOPLAY = """
const play = HTMLMediaElement.prototype.play;
let clicked = false;
addEventListener("click", () => { clicked = true; }, true);
HTMLMediaElement.prototype.play = function () {
  return clicked ? play.call(this) : Promise.reject(new DOMException("", "NotAllowedError"));
};
"""


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with (
        playwright.sync_playwright() as started,
        started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        yield browser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four clips of half a second, and one of them again: five steps."""
    study = write_study(tmp_path / "study", pairs=1)
    source = write_video(tmp_path / "clip.mp4", talking(12), audio=(tone(0.48), 16_000))
    for clip in study.clips:
        shutil.copy(source, clip_path(tmp_path / "study", clip.clip))
    return tmp_path / "study"


def stored(folder: Path) -> list[tuple[int, ...]]:
    """A tuple of three values for each clip and presentation, sorted."""
    with closing(sqlite3.connect(folder / RATINGS)) as db:
        rows = db.execute("SELECT clip, presentation, question, value FROM ratings").fetchall()
    found: dict[tuple[str, int], dict[str, int]] = {}
    for clip, presentation, question, value in rows:
        found.setdefault((clip, presentation), {})[question] = value
    return sorted(tuple(values[key] for key in KEYS) for values in found.values())


def ready(page: "playwright.Page", place: int) -> None:
    """Waits until clip number `place` (from 1) has been played to its end."""
    playwright.expect(page.locator("#place")).to_have_text(str(place))
    page.wait_for_function("() => document.getElementById('video').ended")


def begin(page: "playwright.Page", address: str) -> None:
    page.goto(address)
    assert page.get_by_role("button", name="Begin").is_disabled()
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Begin").click()


def no_wider_than_the_screen(page: "playwright.Page") -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_the_whole_way_by_keyboard_with_a_tab_closed(
    folder: Path, tmp_path: Path, browser: "playwright.Browser"
) -> None:
    with serving(folder, "--contact", "Ann <ann@example.org>") as address, browser.new_context() as context:
        page = context.new_page()
        troubles: list[str] = []
        watch(page, troubles)
        page.goto(address)
        playwright.expect(page.get_by_role("button", name="Begin")).to_be_visible()
        page.screenshot(path=tmp_path / "desktop-consent.png")
        assert "Ann <ann@example.org>" in page.inner_text("#consent")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")

        ready(page, 1)
        assert page.locator("form").get_by_role("group").count() == 3
        names = [radio.get_attribute("value") for radio in page.get_by_role("radio").all()]
        assert names == ["1", "2", "3", "4", "5"] * 3
        assert page.get_by_role("radio", name="3 Fair").count() == 3
        page.keyboard.press("Enter")  # nothing is answered: it stays
        page.keyboard.press("4")
        page.keyboard.press("5")
        playwright.expect(page.get_by_role("button", name="Next")).to_be_disabled()
        page.screenshot(path=tmp_path / "desktop-rate.png")
        page.keyboard.press("3")
        page.get_by_role("group", name="Video realness").get_by_role("radio", name="3 Fair").focus()
        page.keyboard.press("ArrowLeft")  # as radio buttons do
        playwright.expect(page.get_by_role("button", name="Next")).to_be_enabled()
        assert stored(folder) == []
        page.keyboard.press("n")

        ready(page, 2)
        for key in "215":
            page.keyboard.press(key)
        page.keyboard.press("Enter")
        ready(page, 3)
        assert stored(folder) == [(2, 1, 5), (4, 5, 2)]
        page.close()  # in the middle of it

        page = context.new_page()
        watch(page, troubles)
        page.goto(address)
        ready(page, 3)
        page.keyboard.press("b")
        playwright.expect(page.locator("#place")).to_have_text("2")
        values = [page.locator(f"input[name={key}]:checked").input_value() for key in KEYS]
        assert values == ["2", "1", "5"]
        page.get_by_role("group", name="Generation quality").get_by_role("radio", name="1 Bad").focus()
        page.keyboard.press("4")
        page.keyboard.press("n")
        for place in (3, 4, 5):
            ready(page, place)
            for key in "333":
                page.keyboard.press(key)
            page.keyboard.press("n")
        playwright.expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
        page.screenshot(path=tmp_path / "desktop-done.png")
        assert stored(folder) == [(2, 4, 5), (3, 3, 3), (3, 3, 3), (3, 3, 3), (4, 5, 2)]
        page.reload()
        playwright.expect(page.get_by_role("heading", name="Thank you!")).to_be_visible()
        assert troubles == []


def watch(page: "playwright.Page", troubles: list[str]) -> None:
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url) if "127.0.0.1" not in request.url else None)


def test_on_a_phone_by_touch_and_withdrawn(folder: Path, tmp_path: Path, browser: "playwright.Browser") -> None:
    with serving(folder) as address, browser.new_context(**PHONE, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(address)
        playwright.expect(page.get_by_role("button", name="Begin")).to_be_visible()
        page.screenshot(path=tmp_path / "phone-consent.png", full_page=True)
        assert no_wider_than_the_screen(page)
        begin(page, address)
        ready(page, 1)
        for group, word in (("Lip-sync quality", "4 Good"), ("Generation quality", "5 Excellent")):
            page.get_by_role("group", name=group).get_by_role("radio", name=word).tap()
        page.screenshot(path=tmp_path / "phone-rate.png")
        page.screenshot(path=tmp_path / "phone-rate-full.png", full_page=True)
        assert no_wider_than_the_screen(page)
        end = page.get_by_role("button", name="Next").bounding_box()
        assert end is not None
        assert end["y"] + end["height"] <= PHONE["viewport"]["height"], "no one has to scroll"
        for label in page.locator(".scale label").all():
            box = label.bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= 44, "fingers are wide"
        page.get_by_role("group", name="Video realness").get_by_role("radio", name="1 Bad").tap()
        page.get_by_role("button", name="Next").tap()
        ready(page, 2)
        assert stored(folder) == [(4, 5, 1)]

        page.get_by_role("button", name="Withdraw").tap()
        page.screenshot(path=tmp_path / "phone-withdraw.png")
        page.get_by_role("button", name="Keep them").tap()
        assert len(stored(folder)) == 1
        page.get_by_role("button", name="Withdraw").tap()
        page.get_by_role("button", name="Delete them").tap()
        playwright.expect(page.get_by_role("heading", name="You have withdrawn")).to_be_visible()
        assert stored(folder) == []
        page.reload()
        playwright.expect(page.get_by_role("button", name="Begin")).to_be_visible()


def test_what_could_not_be_saved_is_sent_again(folder: Path, tmp_path: Path, browser: "playwright.Browser") -> None:
    with serving(folder) as address, browser.new_context() as context:
        page = context.new_page()
        begin(page, address)
        ready(page, 1)
        context.set_offline(True)
        for key in "123":
            page.keyboard.press(key)
        page.keyboard.press("n")
        playwright.expect(page.get_by_role("alert")).to_contain_text("Not saved")
        page.screenshot(path=tmp_path / "desktop-offline.png")
        assert stored(folder) == []
        context.set_offline(False)
        page.keyboard.press("n")
        ready(page, 2)
        assert stored(folder) == [(1, 2, 3)]


def test_a_page_that_may_not_play_says_so(folder: Path, tmp_path: Path, browser: "playwright.Browser") -> None:
    with serving(folder) as address, browser.new_context() as context:
        context.add_init_script(NO_AUTOPLAY)
        page = context.new_page()
        begin(page, address)
        ready(page, 1)  # after the click on "Begin" it may
        page.reload()
        playwright.expect(page.locator("#hint")).to_have_text("Press Play to begin.")
        page.screenshot(path=tmp_path / "desktop-play.png")
        for key in "123":
            page.keyboard.press(key)
        assert page.get_by_role("button", name="Next").is_disabled(), "nothing has been seen yet"
        page.get_by_role("button", name="Play").click()
        ready(page, 1)
        playwright.expect(page.get_by_role("button", name="Next")).to_be_enabled()
