"""Rendering the two corpora on Ray: one item per clip, finished clips kept (but DVC empties the folder first)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avcat.errors import InputError
from avcat.synth.corpus import ClipSpec, CorpusConfig, is_rendered, plan, render
from pipelines.parallel import Failed, Progress, parallel


def render_corpus(
    config: CorpusConfig, folder: Path, *, workers: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Renders every clip of `plan(config)` below `folder`; Ray must be connected.

    Returns `clips` by corpus and split, `frames`, and how many clips were `kept` because they existed already.
    Raises InputError, with the first reason, if a clip fails: rendered clips must not.
    """
    specs = plan(config)
    missing = [spec for spec in specs if not is_rendered(spec, folder)]
    frames, settings = [spec.frames for spec in missing], {"folder": folder.resolve()}
    results = parallel(missing, _renderer, settings, workers=workers, sizes=frames, progress=progress)
    failed = [f"{missing[i].path}: {result.reason}" for i, result in results if isinstance(result, Failed)]
    if failed:
        raise InputError(f"{len(failed)} of {len(specs)} clips could not be rendered; {failed[0]}")
    return {
        "clips": dict(Counter(f"{spec.corpus}/{spec.split}" for spec in specs)),
        "frames": sum(spec.frames for spec in specs),
        "kept": len(specs) - len(missing),
    }


def _renderer(folder: Path) -> Callable[[ClipSpec], None]:
    def work(spec: ClipSpec) -> None:
        render(spec, folder)

    return work
