"""`python -m stages.manifest`: finds and probes all videos, cuts long ones, gives each clip its split and its shard."""

import argparse
import sys

from avcat.errors import InputError
from pipelines.clips import SPLITS, Rows, read_manifest, video_seconds
from pipelines.cluster import connect
from pipelines.corpora import check_splits, find_sources, strange
from pipelines.manifest import build_manifest
from pipelines.outcome import Outcome, explain, read_outcomes
from stages._main import bar, run_stage
from stages._mlflow import tracked
from stages._params import load

REPORTS = {
    "manifest": "manifest-outcomes.parquet",
    "tracks": "tracks/outcomes.parquet",
    "mels": "mels/outcomes.parquet",
    "shards": "shards/outcomes.parquet",
}


def work() -> None:
    """Reads the corpora, writes `manifest.parquet` and `manifest-outcomes.parquet`."""
    params = load()
    out = params.out
    sources = find_sources(params.data)
    check_splits(sources)
    for line in strange(sources):
        print(f"warning: {line}", file=sys.stderr)
    with tracked("manifest", {"data": params.data}, [out / "corpus"]) as run:
        with connect(params.runtime), bar("probe", "file") as progress:
            counts = build_manifest(
                sources,
                params.data,
                out / "manifest.parquet",
                out / "manifest-outcomes.parquet",
                params.state / "manifest",
                runtime=params.runtime,
                progress=progress,
            )
        run.summarise(counts)
        run.log_outcomes(counts)
    print(splits_table(read_manifest(out / "manifest.parquet")))


def splits_table(clips: Rows) -> str:
    """Speakers, clips and minutes of each split of each corpus, as a table of text."""
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for clip, seconds in zip(clips, video_seconds(clips), strict=True):
        found.setdefault((clip["corpus"], clip["split"]), []).append((clip["speaker"], seconds))
    lines = [f"  {'corpus':<20} {'split':<6} {'speakers':>8} {'clips':>8} {'minutes':>9}"]
    for (corpus, split), of in sorted(found.items(), key=lambda each: (each[0][0], SPLITS.index(each[0][1]))):
        minutes = sum(seconds for _, seconds in of) / 60
        lines.append(f"  {corpus:<20} {split:<6} {len({name for name, _ in of}):>8} {len(of):>8} {minutes:>9.1f}")
    return "\n".join(lines)


def tell(clip: str) -> None:
    """Prints a clip's outcome: the first stage that dropped it, else how far it came."""
    out = load().out
    reports = {stage: out / name for stage, name in REPORTS.items() if (out / name).exists()}
    if not reports:
        raise InputError(f"{out}: no stage has reported yet; `dvc repro shards` makes them")
    ends: dict[str, Outcome] = {}
    for stage, report in reports.items():
        for end in read_outcomes(report):
            # Only a stage's own rows: what its report repeats of earlier ones may be older than theirs.
            if end.stage == stage and (end.clip_id not in ends or ends[end.clip_id].status == "ok"):
                ends[end.clip_id] = end
    lines = explain(list(ends.values()), clip)
    if not lines:
        raise InputError(f"{clip}: no such clip in the reports of {', '.join(reports)} below {out}")
    print(*lines, sep="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--explain", metavar="CLIP", help="only print a clip's outcome: its id, or its file's name")
    clip = parser.parse_args().explain
    return run_stage(lambda: tell(clip) if clip else work())


if __name__ == "__main__":
    sys.exit(main())
