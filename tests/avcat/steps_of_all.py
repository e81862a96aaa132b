"""Run by itself: the losses of two small training steps of each network, as JSON. `test_processors` compares them."""

import json
import sys
import tempfile
from pathlib import Path

import torch
from small_training import KINDS, make_store, make_task


def losses() -> dict[str, list[float]]:
    """Of each network, with Muon, in fp32."""
    torch.set_num_threads(1)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder, "shards"))
        for kind in KINDS:
            task = make_task(kind, store)
            steps = [task.step(number, task.sampler.batch(number)) for number in range(2)]
            found[kind] = [figures["loss" if kind == "syncnet" else "total"] for figures in steps]
    return found


if __name__ == "__main__":
    capability = torch.backends.cpu.get_cpu_capability()
    sys.stdout.write(json.dumps({"capability": capability, "losses": losses()}))
