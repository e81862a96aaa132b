"""The study's order, its ratings and its table, for known answers."""

import csv
import io
import math
from itertools import product
from pathlib import Path

import pytest
from studies import METHODS, write_study

from avcat.apps.cli import main
from avcat.errors import InputError
from avcat.report.table import to_markdown
from avcat.study.plan import FILE, QUESTIONS, RATINGS, Shown, Study, order_for, read_study
from avcat.study.ratings import Rating, Ratings, read_ratings
from avcat.study.table import ALL, krippendorff_alpha, opinions, table2, to_csv, write_tables

KEYS = [question.key for question in QUESTIONS]
NAMES = [f"{number:016x}" for number in range(60)]


def answers(value: int) -> dict[str, int]:
    return dict.fromkeys(KEYS, value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_study(tmp_path / "study")
    return tmp_path / "study"


def test_each_rater_has_an_order_of_their_own_that_stays() -> None:
    orders = {rater: order_for(rater, NAMES) for rater in ("anna", "ben", "carl")}
    for rater, order in orders.items():
        assert order == order_for(rater, NAMES[::-1])
        assert sorted(step.clip for step in order if step.presentation == 0) == NAMES
    assert len({tuple(order) for order in orders.values()}) == 3
    firsts = {order_for(f"rater {n}", NAMES)[0].clip for n in range(400)}
    assert len(firsts) > 55, "any clip may be the first"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 20, 60, 200])
def test_a_clip_comes_back_once_and_late(count: int) -> None:
    clips = [f"{number:016x}" for number in range(count)]
    for rater in ("a", "b", "c"):
        order = order_for(rater, clips)
        repeats = [step for step in order if step.presentation == 1]
        assert len(repeats) == max(1, round(0.05 * count)) == len(set(repeats))
        assert len(order) == count + len(repeats) == len(set(order))
        for step in repeats:
            assert order.index(step) - order.index(Shown(step.clip, 0)) > count / 3 - 1


def test_an_answer_given_again_replaces_the_first(tmp_path: Path) -> None:
    ratings = Ratings(tmp_path / "r.sqlite")
    anna, ben = ratings.join(), ratings.join()
    assert ratings.rate(anna, Shown("x", 0), answers(2))
    assert ratings.rate(anna, Shown("x", 0), answers(5))
    assert ratings.rate(anna, Shown("x", 1), answers(4))
    assert ratings.rate(ben, Shown("x", 0), answers(1))
    assert not ratings.rate("no_one", Shown("x", 0), answers(3))
    assert ratings.of(anna) == {Shown("x", 0): answers(5), Shown("x", 1): answers(4)}
    rows = read_ratings(tmp_path / "r.sqlite", ["x"])  # while it is open for writing
    assert rows == sorted(
        Rating(rater, "x", presentation, key, value)
        for rater, presentation, value in ((anna, 0, 5), (anna, 1, 4), (ben, 0, 1))
        for key in KEYS
    )
    ratings.forget(anna)
    assert not ratings.knows(anna)
    assert not ratings.rate(anna, Shown("y", 0), answers(3))
    ratings.close()
    again = Ratings(tmp_path / "r.sqlite")
    assert again.of(anna) == {}
    assert again.of(ben) == {Shown("x", 0): answers(1)}
    again.close()


def test_alpha_is_that_of_the_book() -> None:
    """Four observers, twelve units, with gaps; K. Krippendorff, Computing Krippendorff's Alpha-Reliability, part D."""
    observers = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    units = [[int(value) for value in unit if value != "."] for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.849, abs=5e-4)


def test_alpha_of_what_tells_nothing() -> None:
    assert krippendorff_alpha([[1, 1], [4, 4], [2, 2]]) == 1
    assert krippendorff_alpha([[1, 2], [2, 1], [1, 2]]) < 0
    assert math.isnan(krippendorff_alpha([[3], [4]]))
    assert math.isnan(krippendorff_alpha([[3, 3], [3, 3]]))


def ratings_of(study: Study) -> list[Rating]:
    """Anna gives 5 to the first method and 2 of the second, Ben 3 and 2; Anna sees two clips again."""
    said = {("anna", METHODS[0]): 5, ("anna", METHODS[1]): 2, ("ben", METHODS[0]): 3, ("ben", METHODS[1]): 2}
    rows = [
        Rating(rater, clip.clip, 0, key, said[rater, clip.method])
        for rater, clip, key in product(("anna", "ben"), study.clips, KEYS)
    ]
    first = study.clips[0].clip  # by the first method
    rows += [Rating("anna", first, 1, key, value) for key, value in zip(KEYS, (5, 4, 2), strict=True)]
    return [*rows, Rating("anna", study.clips[1].clip, 1, "quality", 5)]


def test_scores_are_those_given(folder: Path) -> None:
    study = read_study(folder)
    found = opinions(study, ratings_of(study))
    for data, n in ((ALL, 12), ("words", 6), ("wild", 6)):
        one, two = (found.scores[data, method, "sync"] for method in METHODS)
        assert (one.mean, one.low, one.high, one.n) == (4, 3, 5, n), "both raters' means bound what raters' draws give"
        assert (two.mean, two.low, two.high, two.n) == (2, 2, 2, n)
    assert (found.raters, found.finished) == (2, 0)
    sync, quality, realness = (found.agreement[key] for key in KEYS)
    assert (sync.repeats, sync.same, sync.difference) == (1, 1, 0)
    assert (quality.repeats, quality.same, quality.difference) == (2, 0.5, 0.5)
    assert (realness.repeats, realness.same, realness.difference) == (1, 0, 3)
    # 6 units (5, 3) and 6 units (2, 2): squared differences 4 within half of all pairs; values 5, 3, 2, 2 six times.
    # All together: mean 3, sum of squares 6 (4 + 0 + 1 + 1) = 36, so 2 * 36 / 23 is expected and 2 observed.
    assert sync.alpha == pytest.approx(1 - 2 / (72 / 23))
    lines = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert next(line for line in lines if line["data"] == ALL and line["figure"] == "sync") == {
        **{"source": "ours", "data": ALL, "method": METHODS[0], "figure": "sync", "mean": "4", "low": "3"},
        **{"high": "5", "n": "12", "coverage": ""},
    }


def store(folder: Path, rows: list[Rating]) -> None:
    """Rows under the names of raters who have joined."""
    ratings = Ratings(folder / RATINGS)
    known = {name: ratings.join() for name in sorted({row.rater for row in rows})}
    for row in rows:
        shown = Shown(row.clip, row.presentation)
        before = ratings.of(known[row.rater]).get(shown, answers(row.value))
        ratings.rate(known[row.rater], shown, {**before, row.question: row.value})
    ratings.close()


def test_the_table_and_its_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = read_study(folder)
    store(folder, [row for row in ratings_of(study) if row.presentation == 0])
    assert main(["study", "table", str(folder)]) == 0
    said = capsys.readouterr().out
    table = table2(folder)
    label, ours = table.groups[0]
    assert label == "ours, 2 raters, 0 of them to the end"
    assert [[cell.text for cell in row.cells] for row in ours] == [
        [METHODS[0], "4.00", "4.00", "4.00", "12"],
        [METHODS[1], "2.00", "2.00", "2.00", "12"],
    ]
    assert [cell.interval for cell in ours[0].cells] == ["", *["3.00 to 5.00"] * 3, ""]
    paper = {row.cells[0].text: [cell.text for cell in row.cells[1:4]] for row in table.groups[1][1]}
    assert paper["AV-CAT"] == ["3.82", "4.30", "4.18"]
    assert (folder / "table2.md").read_text() == to_markdown(table)
    assert to_markdown(table) in said
    assert "4.00" in (folder / "table2.tex").read_text()
    assert "[1] no rater has reached a repeated clip yet" in (folder / "agreement.md").read_text()
    assert "ours,all clips,hushed-one,realness,4,3,5,12," in (folder / "table2.csv").read_text()
    written = {f"table2{suffix}" for suffix in (".md", ".tex", ".csv")} | {"agreement.md", "agreement.tex"}
    assert {path.name for path in folder.iterdir()} == {FILE, RATINGS, "clips", *written}


@pytest.mark.parametrize("what", ["nothing", "study", "empty"])
def test_without_ratings_there_are_no_scores(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "study"
    if what != "nothing":
        write_study(folder)
        write_tables(folder)
    if what == "empty":
        Ratings(folder / RATINGS).close()
    (_, ours), _ = table2(folder).groups
    assert [row.cells[0].text for row in ours] == (["AV-CAT (ours)"] if what == "nothing" else list(METHODS))
    for row in ours:
        assert [cell.text for cell in row.cells[1:]] == ["n/a", "n/a", "n/a", "0"]
        assert "no ratings yet: `avcat study build`" in row.cells[1].note


def test_what_is_wrong_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store(folder, ratings_of(read_study(folder)))
    cases = {
        "rates clips that the study beside it does not have": (FILE, (folder / FILE).read_text().replace("abc", "abd")),
        "not a study": (FILE, "[]"),
        "of another version": (FILE, '{"version": 99}'),
        "cannot be read as ratings": (RATINGS, "no database " * 100),
    }
    kept = {name: (folder / name).read_bytes() for name in (FILE, RATINGS)}
    for reason, (name, text) in cases.items():
        (folder / name).write_text(text)
        assert main(["study", "table", str(folder)]) == 2
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1
        (folder / name).write_bytes(kept[name])
    assert main(["study", "table", str(folder / "none")]) == 2
    assert "study.json: No such file or directory; `avcat study build` makes" in capsys.readouterr().err
    (folder / FILE).unlink()
    with pytest.raises(InputError, match=r"study\.json"):  # ratings of unknown items are not ignored
        table2(folder)


@pytest.mark.parametrize(
    "words",
    [
        ["build", "r", "-o", "d", "--method", "full"],
        ["build", "r", "-o", "d", "--method", "a/b=m.pt"],
        ["build", "r", "-o", "d", "--method", "a=m.pt", "--clips", "0"],
        ["serve", "d", "--port", "70000"],
    ],
)
def test_bad_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["study", *words])
    assert words[-1] in capsys.readouterr().err
