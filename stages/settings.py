"""`python -m stages.settings`: what is in force, resolved, and the code that makes each output; a file for each.

Every other stage depends on its own files only, so a change of a setting or of code makes stale what it concerns.
"""

import json
import shutil

import yaml

from avcat.files import write
from pipelines.code import code_of
from stages._main import main
from stages._params import Params, check, load

STAGES = ("corpus", "manifest", "tracks", "mels", "shards", "syncnet", "evaluator", "offsets", "evaluate", "tables")
DRAWING = ("model", "run")  # parts of a method's folder that are used after its training


def work() -> None:
    """Writes `out/<profile>/settings/`: `<section>.yaml`, `rows/<row>.yaml`, `code/` with `codes`."""
    check()
    params = load()
    folder = params.out / "settings"
    shutil.rmtree(folder, ignore_errors=True)  # of rows that are gone
    for name, content in params.in_force().items():
        write(folder / f"{name}.yaml", yaml.safe_dump(content, sort_keys=False))
    for name, code in codes(params).items():
        write(folder / "code" / f"{name}.json", json.dumps(code, indent=1))


def codes(params: Params) -> dict[str, dict[str, str]]:
    """The code of each stage, or `train/<row>` and `evaluate/<row>`: files and their sha256."""
    from avcat.methods import parts

    found = {stage: code_of(f"stages.{stage}") for stage in STAGES}
    for name in params.rows:
        method = params.row(name).method
        inside = {part: f"avcat.methods.{method}.{part}" for part in parts(method)}
        found[f"train/{name}"] = code_of("stages.train", inside["task"])
        drawing = [inside[part] for part in DRAWING if part in inside]
        found[f"evaluate/{name}"] = code_of("stages.evaluate", *drawing)
    dubbed = f"avcat.methods.{params.row('full').method}.model"
    return found | {"dub": code_of("stages.dub", dubbed)}


if __name__ == "__main__":
    main(work, __doc__)
