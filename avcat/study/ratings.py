"""The ratings of a study: one SQLite file, one row per rater, presentation of a clip, and question."""

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from avcat.errors import InputError
from avcat.files import local_copy
from avcat.study.plan import QUESTIONS, Shown

LOWEST, HIGHEST = 1, 5
_WAIT_S = 30.0  # for another process that is writing
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS raters (
    rater TEXT PRIMARY KEY,
    consented_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ratings (
    rater TEXT NOT NULL REFERENCES raters ON DELETE CASCADE,
    clip TEXT NOT NULL,
    presentation INTEGER NOT NULL,
    question TEXT NOT NULL,
    value INTEGER NOT NULL CHECK (value BETWEEN {LOWEST} AND {HIGHEST}),
    rated_at TEXT NOT NULL,
    PRIMARY KEY (rater, clip, presentation, question)
) STRICT, WITHOUT ROWID;
"""
_UPSERT = """
INSERT INTO ratings VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET value = excluded.value, rated_at = excluded.rated_at
"""

Answers = Mapping[str, int]  # question -> 1..5


class Rating(NamedTuple):
    """One row."""

    rater: str
    clip: str
    presentation: int
    question: str
    value: int


class Ratings:
    """The file in use. Safe to share between threads; other processes may read and write it at the same time."""

    def __init__(self, path: Path) -> None:
        """Creates the file if there is none. Raises InputError if it cannot be used."""
        self._lock = Lock()
        try:
            self._db = sqlite3.connect(path, timeout=_WAIT_S, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # an answer reported as saved survives a power failure
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise InputError(f"{path}: cannot be used for ratings ({error})") from error

    def join(self) -> str:
        """Adds a rater who has consented; returns an unguessable code without information about the person."""
        rater = secrets.token_urlsafe(16)
        with self._lock, self._db:
            self._db.execute("INSERT INTO raters VALUES (?, ?)", (rater, _now()))
        return rater

    def knows(self, rater: str) -> bool:
        with self._lock:
            return self._db.execute("SELECT 1 FROM raters WHERE rater = ?", (rater,)).fetchone() is not None

    def count(self) -> int:
        """Number of raters who have consented."""
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM raters").fetchone()[0])

    def rate(self, rater: str, shown: Shown, answers: Answers) -> bool:
        """Writes all three answers or none; a second time replaces the first. False if the rater is unknown."""
        assert set(answers) == {question.key for question in QUESTIONS}
        rows = [(rater, *shown, question, value, _now()) for question, value in answers.items()]
        try:
            with self._lock, self._db:
                self._db.executemany(_UPSERT, rows)
        except sqlite3.IntegrityError:
            return False  # withdrawn in another tab, between check and write
        return True

    def of(self, rater: str) -> dict[Shown, dict[str, int]]:
        """What the rater has answered so far."""
        with self._lock:
            rows = self._db.execute(
                "SELECT clip, presentation, question, value FROM ratings WHERE rater = ?", (rater,)
            ).fetchall()
        found: dict[Shown, dict[str, int]] = {}
        for clip, presentation, question, value in rows:
            found.setdefault(Shown(clip, presentation), {})[question] = value
        return found

    def forget(self, rater: str) -> None:
        """Removes a rater who withdraws, with all they have answered."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM raters WHERE rater = ?", (rater,))

    def close(self) -> None:
        with self._lock:
            self._db.close()


def read_ratings(path: Path, clips: Iterable[str]) -> list[Rating]:
    """All ratings, ordered, also while people rate. Raises InputError if it is no such file, or of other clips."""
    try:
        with (
            local_copy(path) as local,
            # "rw" creates no file, and unlike "ro" leaves no files of SQLite's own behind.
            closing(sqlite3.connect(f"{local.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_S)) as db,
        ):
            names = ", ".join(Rating._fields)
            rows = [Rating(*row) for row in db.execute(f"SELECT {names} FROM ratings ORDER BY {names}")]
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be read as ratings ({error})") from error
    strange = {row.clip for row in rows} - set(clips)
    if strange:
        raise InputError(f"{path}: rates clips that the study beside it does not have ({len(strange)} of them)")
    return rows


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
