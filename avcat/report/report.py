"""The report of a profile: every table there is, the curves of the trainings, and pictures of the same moments."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avcat.data.schema import FPS
from avcat.errors import InputError
from avcat.files import write
from avcat.media.pictures import jpeg
from avcat.metrics.figures import DISTRIBUTIONS, FIGURES
from avcat.metrics.results import BOUNDS, GROUND_TRUTH, Result, read_clips, read_results
from avcat.report import curves, grid, page
from avcat.report.agreement import agreement_table
from avcat.report.paired import compared, paired_csv, paired_table
from avcat.report.table import Table, to_html, to_latex, to_markdown
from avcat.report.tables import (
    ABLATIONS,
    IN_TABLE3,
    TITLES,
    glance_table,
    in_order,
    mouth_table,
    syncnet_table,
    table1,
    table1_csv,
    table3,
    table3_csv,
    title_of,
)

NOT_LEARNT = ("learning_rate", "gradient_norm")  # they are in MLflow; the page is about what was learnt
SHIFTED = "right_at_"  # figures of `avcat.methods.syncnet.task.judge`, + by how many frames
GRIDS_PER_CORPUS, OPENINGS_PER_CORPUS = 2, 3
SYSTEMS, PARTS = "Systems, as in the paper's figure 4", "Ablation, as in the paper's figure 5"
PAPERS_FIGURES = (
    "The paper's figures 4 and 5 show people of LRW and VoxCeleb. We may not copy them, and they show other faces by "
    "other trainings: they are not comparable picture by picture."
)
INTRODUCTION = (
    "Self-reconstruction of test speakers that no training saw, with the first frame as reference. Rows in another "
    "colour are printed in the paper: other data, other faces, another SyncNet; they are not comparable."
)


def write_report(
    folder: Path,
    evaluations: Path,
    trainings: Mapping[str, Path],
    table2: Table | None = None,
    without: Collection[str] = (),
    trained: Collection[str] = TITLES,
) -> list[Result]:
    """Writes all tables and `report.html` into `folder`; returns the results they were made of.

    `evaluations` holds `<row>/<corpus>/metrics.json`, of which rows in `without` are left out; `trainings` maps
    names to folders with `curves.csv` and `metrics.json`, which may be missing; `table2` is the user study's; `trained`
    as for `compared`. Files depend only on what is read: the same inputs, the same bytes. Raises InputError if there is
    no evaluation.
    """
    results = [result for result in read_results(evaluations) if result.method not in without]
    if not results:
        raise InputError(f"{evaluations}: no evaluation here")
    known = _figures(trainings)
    notes = _closed_gates(known)
    tables = {"table1": table1(results, notes), "mouth": mouth_table(results), "syncnet": syncnet_table(known)}
    if table2 is not None:
        tables["table2"] = table2
    if any(result.method in ABLATIONS for result in results):
        tables["table3"] = table3(results, notes)
        write(folder / "table3.csv", table3_csv(results))
    if differences := compared(results, trained):
        tables["paired"] = paired_table(differences)
        if (agreement := agreement_table(differences)).groups:
            tables["agreement"] = agreement
        write(folder / "paired.csv", paired_csv(differences))
    for name, table in tables.items():
        write(folder / f"{name}.md", to_markdown(table))
        write(folder / f"{name}.tex", to_latex(table))
    write(folder / "table1.csv", table1_csv(results))
    write(folder / "glance.md", to_markdown(glance_table(results)))
    write(folder / "report.html", _report(results, list(tables.values()), trainings, folder))
    return results


def _report(results: Sequence[Result], tables: Sequence[Table], trainings: Mapping[str, Path], folder: Path) -> str:
    grids = _grids(results)
    for name, (_, picture) in grids.items():
        write(folder / f"{name}.jpg", picture)
    sections = [(table.caption, to_html(table)) for table in tables]
    sections.append(
        (
            "The same moments, method by method",
            page.pictures(list(grids.values())) + page.missing(PAPERS_FIGURES if grids else "no pictures"),
        )
    )
    sections.append(("Clip by clip", page.curves(_distributions(results))))
    in_step = _in_step(results)
    sections.append(("Is the sound in step?", page.curves(in_step) if in_step else page.missing("no SyncNet judged")))
    sections.append(("The opening of the mouth over time", page.curves(_openings(results))))
    sections.append(("How finely the SyncNets hear", page.curves(_hearing(_figures(trainings)))))
    sections.append(("Learning curves", _learning(trainings)))
    return page.page("AV-CAT: evaluation", INTRODUCTION, sections)


def _closed_gates(figures: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Notes for the tables on trainings in which the sync loss never counted."""
    closed = [name for name, values in figures.items() if values.get("in_step") == 0]
    if not closed:
        return ()
    return (
        f"{', '.join(closed)}: trained without the sync loss, as its gate, which held-out mouths open, stayed closed.",
    )


def _grids(results: Sequence[Result]) -> dict[str, tuple[str, bytes]]:
    """Name -> caption and JPEG of clips that all methods of the grid have a strip of.

    A row of external videos that shows none of the truth's clips is left out, and the caption says so.
    """
    found = {}
    for corpus, ordered in _bounds_first(results).items():
        systems = [result for result in ordered if result.method not in ABLATIONS]
        parts = [result for result in ordered if result.method in (GROUND_TRUTH, *IN_TABLE3)]
        for name, what, methods in (("grid", SYSTEMS, systems), ("ablation", PARTS, parts)):
            if name == "ablation" and not any(result.method in ABLATIONS for result in methods):
                continue
            strips = {result.method: {path.name for path in result.strips} for result in methods}
            wanted = strips.get(GROUND_TRUTH, set.union(*strips.values()))
            unseen = [result for result in methods if not strips[result.method] & wanted]
            methods = [result for result in methods if result not in unseen]
            common = set.intersection(*(strips[result.method] for result in methods)) if methods else set()
            missing = "".join(f"; none of {title_of(r.method)}, which has no picture of these clips" for r in unseen)
            for number, strip in enumerate(sorted(common)[:GRIDS_PER_CORPUS], 1):
                rows = [(title_of(r.method), grid.read_strip(r.folder / "strips" / strip)) for r in methods]
                caption = f"{what}: {corpus}, clip {number} ({Path(strip).stem}){missing}"
                found[f"{name}-{corpus}-{number}"] = caption, jpeg(grid.grid(rows), grid.JPEG_QUALITY)
    return found


def _openings(results: Sequence[Result]) -> list[tuple[str, str]]:
    """(description, SVG) of the first clips of each corpus, truth and methods."""
    found = []
    for corpus, ordered in _bounds_first(results).items():
        methods = [result for result in ordered if result.method != GROUND_TRUTH]
        clips = [{row["clip_id"]: row for row in _clips(result)} for result in methods]
        common = sorted(set.intersection(*map(set, clips))) if clips else []
        for number, clip_id in enumerate(common[:OPENINGS_PER_CORPUS], 1):
            lines = {"Ground truth": clips[0][clip_id]["opening_truth"]}
            lines |= {title_of(r.method): rows[clip_id]["opening"] for r, rows in zip(methods, clips, strict=True)}
            title = f"{corpus}, clip {number}"
            found.append((f"Opening of the mouth: {title}", curves.openings(title, lines, FPS)))
    return found


def _distributions(results: Sequence[Result]) -> list[tuple[str, str]]:
    """(description, SVG) of each clip's scores, per corpus and figure, without the truth, which is the best in all."""
    found = []
    for corpus, ordered in _bounds_first(results).items():
        methods = [result for result in ordered if result.method != GROUND_TRUTH]
        rows = {title_of(result.method): _clips(result) for result in methods}
        for name in DISTRIBUTIONS:
            values = {label: [row[name] for row in clips if math.isfinite(row[name])] for label, clips in rows.items()}
            title = f"{FIGURES[name].title}, {corpus}"
            found.append((f"Each clip's {title}", curves.distributions(title, values)))
    return found


def _in_step(results: Sequence[Result]) -> list[tuple[str, str]]:
    """(description, SVG) of the mean distance at every offset, for each corpus; empty if there was no judge."""
    found = []
    for corpus, ordered in _bounds_first(results).items():
        lines = {}
        for result in ordered:
            clips = np.array([row["sync_distances"] for row in _clips(result) if row["sync_distances"]], float)
            if len(clips):
                counted = np.isfinite(clips).sum(0)
                means = np.divide(np.nansum(clips, 0), counted, out=np.full(len(counted), np.nan), where=counted > 0)
                lines[title_of(result.method)] = means.tolist()
        if lines:
            found.append((f"Distance by offset, {corpus}", curves.distances_by_offset(corpus, lines)))
    return found


def _clips(result: Result) -> list[dict[str, Any]]:
    return read_clips(result.folder, ["clip_id", "opening_truth", "opening", "sync_distances", *DISTRIBUTIONS])


def _figures(trainings: Mapping[str, Path]) -> dict[str, dict[str, float]]:
    """`metrics.json` of every training that has one."""
    paths = {name: folder / "metrics.json" for name, folder in trainings.items()}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def _hearing(figures: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str]]:
    """(description, SVG) of how often the right sound wins against that some frames off; empty without a SyncNet."""
    lines = {
        name: [values[key] for key in sorted((k for k in values if k.startswith(SHIFTED)), key=_frames_off)]
        for name, values in figures.items()
    }
    known = {name: values for name, values in lines.items() if values}
    title = "the right sound wins"
    return [("How often the right sound wins", curves.accuracy_by_shift(title, known))] if known else []


def _frames_off(key: str) -> int:
    return int(key.removeprefix(SHIFTED))


def _learning(trainings: Mapping[str, Path]) -> str:
    drawn, gone = [], []
    for name, folder in trainings.items():
        if not (folder / "curves.csv").exists():
            gone.append(page.missing(f"{name}: no curves.csv"))
            continue
        found = curves.read_curves(folder / "curves.csv")
        for title, group in _grouped({key: found[key] for key in found if key not in NOT_LEARNT}).items():
            drawn.append((f"{name}: {title}", curves.learning_curves(f"{name}: {title}", group)))
    return page.curves(drawn) + "\n".join(gone)


def _grouped(found: Mapping[str, curves.Curve]) -> dict[str, dict[str, curves.Curve]]:
    """Curves that share a picture: a figure with its held-out counterpart (`val_` + name), each other one by itself."""
    groups: dict[str, dict[str, curves.Curve]] = {}
    for name, curve in found.items():
        groups.setdefault(name.removeprefix("val_"), {})[name] = curve
    return {title: group for title, group in groups.items() if any((values != 0).any() for _, values in group.values())}


def _bounds_first(results: Sequence[Result]) -> dict[str, list[Result]]:
    """As in tables, but with the bounds first, the truth before the copy."""
    return {
        corpus: [row for row in reversed(rows) if row.method in BOUNDS] + [r for r in rows if r.method not in BOUNDS]
        for corpus, rows in in_order(results).items()
    }
