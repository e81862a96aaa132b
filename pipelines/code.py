"""Which code makes an output: all modules that it imports, directly or not, also inside of functions.

So a change of one method's code makes that method's outputs stale, and no others.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import grimp

from pipelines.state import file_hash

ROOT = Path(__file__).resolve().parents[1]
# They carry settings, errors and work, and change no result.
CARRIERS = {
    "avcat.errors",
    "avcat.files",
    "avcat.inference.onnx_network",  # stages redraw by torch
    "avcat.settings",
    "pipelines.child",
    "pipelines.cluster",
    "pipelines.code",
    "pipelines.grouped",
    "pipelines.outcome",
    "pipelines.parallel",
    "pipelines.resources",
    "pipelines.settings",
    "pipelines.state",
    "pipelines.workers",
}
# What they import does not count: a model file's kind, and the SyncNet that chooses a speaker, trained before.
LEAVES = {"avcat.checkpoint", "avcat.metrics.agreement"}


def code_of(*modules: str) -> dict[str, str]:
    """The files of `modules` and of all that they import, relative to the project's root, and their sha256."""
    graph, found, left = _graph(), set(), [*modules]
    while left:
        module = left.pop()
        if module in found or module in CARRIERS or module.startswith("stages._"):
            continue
        found.add(module)
        if module not in LEAVES:
            left += graph.find_modules_directly_imported_by(module)
    return {str(path): file_hash(ROOT / path) for path in sorted(_files(found))}


def _files(modules: Iterable[str]) -> Iterable[Path]:
    for module in modules:
        path = Path(*module.split("."))
        yield path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


@lru_cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("avcat", "pipelines", "stages", cache_dir=None)
