"""stages -> pipelines -> avcat, and what each may import; checked in a fresh process and by import-linter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROBE = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def loaded_by(package: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", PROBE, package]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("avcat", ["ray", "dvc", "mlflow", "yaml", "webdataset", "mediapipe", "pipelines", "stages"]),
        ("pipelines", ["mlflow", "dvc", "stages"]),
    ],
)
def test_what_a_package_loads(package: str, forbidden: list[str]) -> None:
    loaded = loaded_by(package)
    assert f'"{package}"' in loaded
    assert [name for name in forbidden if f'"{name}"' in loaded] == []


def test_import_contracts() -> None:
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
