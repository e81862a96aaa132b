"""What became of every clip: ok, rejected for a reason, or failed with an error. None is lost, none stops the run."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from avcat.data import schema
from avcat.errors import InputError
from avcat.files import atomic_path, read_table

MOST_REASONS = 12  # listed separately in a summary


@dataclass(frozen=True)
class Outcome:
    """One row of `schema.OUTCOME`."""

    clip_id: str
    corpus: str
    path: str
    start_s: float
    end_s: float
    split: str
    stage: str
    status: Literal["ok", "rejected", "failed"]
    reason: str = ""  # empty if ok; the same words for the same cause, so that they can be counted
    frames: int = 0
    found: int = 0  # of these, frames in which the face was seen


class Rejected(Exception):
    """Raised by a worker: the clip can be read but is not wanted. The message is the reason."""


@dataclass(frozen=True)
class Failed:
    """Placeholder for the result of an item if the worker raised."""

    reason: str  # one line
    rejected: bool = False  # by the worker, with `Rejected`


def failed(error: Exception) -> Failed:
    """What an exception of a worker becomes."""
    return Failed(one_line(error), isinstance(error, Rejected))


def outcome_of(stage: str, row: Mapping[str, Any], result: Any, frames: int = 0, found: int = 0) -> Outcome:
    """The outcome of a clip, a row of the manifest, from the `result` of its worker."""
    place = {name: row[name] for name in ("clip_id", "corpus", "path", "start_s", "end_s", "split")}
    if not isinstance(result, Failed):
        return Outcome(**place, stage=stage, status="ok", frames=frames, found=found)
    return Outcome(**place, stage=stage, status="rejected" if result.rejected else "failed", reason=result.reason)


def one_line(error: BaseException) -> str:
    """The first line of an error, with its type if the message alone is unclear."""
    text = str(error).strip().splitlines()
    message = text[0] if text else ""
    return (
        message
        if isinstance(error, (InputError, Rejected)) and message
        else f"{type(error).__name__}: {message}".rstrip(": ")
    )


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """`schema.OUTCOME`, sorted by clip id."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.clip_id)
    columns = {name: [getattr(outcome, name) for outcome in ordered] for name in schema.OUTCOME.names}
    with atomic_path(path) as part:
        pq.write_table(pa.table(columns, schema=schema.OUTCOME), part)


def read_outcomes(path: Path) -> list[Outcome]:
    """What `write_outcomes` wrote."""
    return [Outcome(**row) for row in read_table(path, schema=schema.OUTCOME).to_pylist()]


def after(before: Iterable[Outcome], now: Iterable[Outcome]) -> list[Outcome]:
    """The outcomes of all clips so far: those of this stage, and of an earlier one if it was the clip's last."""
    return [outcome for outcome in before if outcome.status != "ok"] + list(now)


def explain(outcomes: Iterable[Outcome], clip: str) -> list[str]:
    """What became of a clip, named by its id, or of a file's clips, named by the end of its path; one line each."""
    return [
        f"{outcome.clip_id}  {outcome.corpus}: {outcome.path!r} [{outcome.start_s:g} to {outcome.end_s:g} s], "
        f"split {outcome.split or 'unknown'}: {outcome.status} in {outcome.stage}"
        + (f" ({outcome.reason})" if outcome.reason else "")
        + (f", face seen in {outcome.found} of {outcome.frames} frames" if outcome.frames else "")
        for outcome in outcomes
        if outcome.clip_id == clip or f"/{outcome.path}".endswith(f"/{clip}")
    ]


def cause(outcome: Outcome) -> str:
    """The reason without the name of the file that many reasons begin with."""
    return outcome.reason.rpartition(f"{outcome.path}: ")[2]


def summary(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Counts of a stage: clips by status, rejected and failed ones by reason, frames of those that are ok."""
    outcomes = list(outcomes)
    status = Counter(outcome.status for outcome in outcomes)

    def reasons(of: str) -> dict[str, int]:
        found = Counter(cause(outcome) for outcome in outcomes if outcome.status == of)
        common = dict(found.most_common(MOST_REASONS))
        rest = found.total() - sum(common.values())
        return dict(sorted(common.items())) | ({"other reasons": rest} if rest else {})

    return {
        "clips": {"in": len(outcomes), "ok": status["ok"], "rejected": status["rejected"], "failed": status["failed"]},
        "rejected": reasons("rejected"),
        "failed": reasons("failed"),
        "frames": sum(outcome.frames for outcome in outcomes if outcome.status == "ok"),
    }


def check_failures(outcomes: Iterable[Outcome], most: float) -> None:
    """Raises InputError, with the commonest reason, if more than the fraction `most` failed, or nothing is ok."""
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
