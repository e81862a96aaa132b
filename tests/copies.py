"""A copy of the project in a folder of its own, and its programs run there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = (
    "avcat",
    "pipelines",
    "profiles",
    "stages",
    "pyproject.toml",
    "dvc.yaml",
    "params.yaml",
    ".dvcignore",
    ".gitignore",
)


def copy_of_project(folder: Path, *more: str) -> Path:
    """What the stages need, and `more`, copied into `folder`; returns it."""
    for name in (*FILES, *more):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def call(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python module run in the project; its output is shown if the test fails."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_", "DVC_"))
    }
    environment["PYTHONWARNINGS"] = "ignore"
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # whose python stages take
    environment["PYTHONPATH"] = str(project)  # the copy, not the project that is installed
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout[-6000:], done.stderr[-6000:])
    return done
