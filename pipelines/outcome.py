"""What became of every clip: ok, rejected for a reason, or failed with an error. None is lost, none stops the run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from avcat.data import schema
from avcat.errors import InputError
from avcat.files import atomic_path


@dataclass(frozen=True)
class Outcome:
    """One row of `schema.OUTCOME`."""

    clip_id: str
    corpus: str
    split: str
    status: Literal["ok", "rejected", "failed"]
    reason: str = ""  # empty where ok; the same words for the same cause, so that they can be counted
    frames: int = 0
    found: int = 0  # of these, frames in which the face was seen


class Rejected(Exception):
    """Raised by a worker: the clip can be read but is not wanted. The message is the reason."""


@dataclass(frozen=True)
class Failed:
    """Stands for the result of an item whose work raised."""

    reason: str  # one line
    rejected: bool = False  # by the worker, with `Rejected`


def failed(error: Exception) -> Failed:
    """What an exception of a worker becomes."""
    return Failed(one_line(error), isinstance(error, Rejected))


def outcome_of(clip_id: str, corpus: str, split: str, result: Any, frames: int = 0, found: int = 0) -> Outcome:
    """The outcome of a clip whose worker returned `result`."""
    if not isinstance(result, Failed):
        return Outcome(clip_id, corpus, split, "ok", "", frames, found)
    return Outcome(clip_id, corpus, split, "rejected" if result.rejected else "failed", result.reason)


def one_line(error: BaseException) -> str:
    """The first line of an error, with its kind where the message alone would puzzle."""
    text = str(error).strip().splitlines()
    message = text[0] if text else ""
    return (
        message
        if isinstance(error, (InputError, Rejected)) and message
        else f"{type(error).__name__}: {message}".rstrip(": ")
    )


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """`schema.OUTCOME`, sorted by clip id."""
    rows = [asdict(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.clip_id)]
    with atomic_path(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.OUTCOME), part)


def read_outcomes(path: Path) -> list[Outcome]:
    """What `write_outcomes` wrote."""
    return [Outcome(**row) for row in pq.read_table(path, schema=schema.OUTCOME).to_pylist()]


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Counts for the end of a stage: clips in, ok, rejected by reason, failed; frames of the clips that are ok."""
    outcomes = list(outcomes)
    status = Counter(outcome.status for outcome in outcomes)
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.status == "rejected")
    return {
        "clips": {"in": len(outcomes), "ok": status["ok"], "rejected": status["rejected"], "failed": status["failed"]},
        "rejected": dict(sorted(reasons.items())),
        "frames": sum(outcome.frames for outcome in outcomes if outcome.status == "ok"),
    }


def check_failures(outcomes: Iterable[Outcome], most: float) -> None:
    """Raises InputError, with the commonest reason, where more than the fraction `most` failed, or nothing is ok."""
    outcomes = list(outcomes)
    failed = Counter(outcome.reason for outcome in outcomes if outcome.status == "failed")
    if failed.total() > most * len(outcomes):
        reason, count = failed.most_common(1)[0]
        raise InputError(
            f"{failed.total()} of {len(outcomes)} clips failed, more than data.max_failed_fraction {most} allows; "
            f"{count} of them: {reason}"
        )
    if not any(outcome.status == "ok" for outcome in outcomes):
        reasons = Counter(outcome.reason for outcome in outcomes)
        listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        raise InputError(f"none of {len(outcomes)} clips can be used: {listed or 'there are none'}")
