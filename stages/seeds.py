"""`python -m stages.seeds --seeds 1 2`: trains rows again from other seeds; shows which differences remain.

Reads what `python -m stages.reproduce --rows all` made of the profile: shards, both SyncNets, and the rows' figures
from the profile's own seed. Writes `out/<profile>/seeds/`: a folder for each seed, and `seeds.md`. Results
that exist already, with the same settings, data and SyncNets, are not made again, so a call that was stopped
resumes.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from avcat.errors import InputError
from avcat.files import write
from avcat.metrics.results import BASE
from avcat.report.seeds import seeded, seeds_table
from avcat.report.table import to_markdown
from pipelines.state import file_hash, fingerprint, is_done, mark_done
from stages._main import run_stage
from stages._params import Params, load
from stages.evaluate import corpora, score
from stages.reproduce import stale
from stages.train import train

ABLATIONS = ("rn-only", "without-rn", "without-sync")


def work(rows: Sequence[str], seeds: Sequence[int]) -> None:
    """Trains and scores what is missing; writes and prints the table."""
    own = load()
    if own.train.optimiser.seed in seeds:
        raise InputError(f"--seeds {own.train.optimiser.seed}: the profile's own seed, already scored")
    if unknown := sorted(set(rows) - set(own.rows)):
        raise InputError(f"--rows: unknown row {unknown[0]!r}, there are {', '.join(own.rows)}")
    rows = list(dict.fromkeys((BASE, *rows)))
    for row in rows:
        if not (figures := own.out / "figures" / f"{row}.json").exists():
            raise InputError(f"{figures}: not there; python -m stages.reproduce --rows all makes it")
    _tell_stale(rows)
    for seed in seeds:
        for row in rows:
            _row(row, seed)
    out = own.out / "seeds"
    found = seeded([own.out / "evaluate", *(out / str(seed) / "evaluate" for seed in seeds)])
    text = to_markdown(seeds_table(found, [own.train.optimiser.seed, *seeds]))
    write(out / "seeds.md", text)
    print(text)


def _tell_stale(rows: Sequence[str]) -> None:
    """Warns: the own seed's figures are used as they are; if code or settings changed, other seeds have the new."""
    made = {f"{stage}@{row}" for row in rows for stage in ("train", "evaluate")}
    if changed := [name for name in stale() if name in made]:
        print(
            f"warning: code or settings have changed since {', '.join(changed)} were made for the profile's own seed; "
            "python -m stages.reproduce makes them again",
            file=sys.stderr,
        )


def _row(row: str, seed: int) -> None:
    """One row of one seed, from training to figures, as far as they are missing."""
    params = load()
    own = params.row(row)
    optimiser = replace(own.training.optimiser, seed=seed)
    other = replace(own, training=replace(own.training, optimiser=optimiser))
    name, folder = f"{row}-seed{seed}", f"seeds/{seed}"
    model, mark = params.out / folder / "train" / row / "model.pt", params.state / folder / f"{row}.trained"
    made_from = fingerprint(other.training, _data(params))
    if not is_done(mark, made_from, model):
        train(other, params, name, f"{folder}/train/{row}")
        mark_done(mark, made_from)
    for corpus in corpora(params):
        scored = f"{folder}/evaluate/{row}/{corpus}"
        mark = params.state / folder / f"{row}-{corpus}.scored"
        made_from = fingerprint(file_hash(model), params.evaluate, _data(params))
        if not is_done(mark, made_from, params.out / scored / "metrics.json"):
            score(row, corpus, params, model, name, scored)
            mark_done(mark, made_from)


def _data(params: Params) -> list[str]:
    """Hashes that differ for other shards and other SyncNets."""
    networks = [params.out / name / "model.pt" for name in ("syncnet", "evaluator")]
    indices = sorted((params.out / "shards").rglob("*.parquet"))
    return [file_hash(path) for path in (*networks, *indices)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", required=True, help="beside the profile's own")
    parser.add_argument(
        "--rows",
        nargs="+",
        default=ABLATIONS,
        help="compared with the full model (default: " + ", ".join(ABLATIONS) + ")",
    )
    arguments = parser.parse_args()
    return run_stage(lambda: work(arguments.rows, list(dict.fromkeys(arguments.seeds))))


if __name__ == "__main__":
    sys.exit(main())
