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
    """Raised by a worker: the clip is sound but not wanted. The message is the reason."""


def one_line(error: BaseException) -> str:
    """The first line of an error, with its kind where the message alone would puzzle."""
    text = str(error).strip().splitlines()
    message = text[0] if text else ""
    return message if isinstance(error, InputError) and message else f"{type(error).__name__}: {message}".rstrip(": ")


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """`schema.OUTCOME`, sorted by clip id."""
    rows = [asdict(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.clip_id)]
    with atomic_path(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.OUTCOME), part)


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
