"""How MLflow serves a registered model: it runs this file, and puts the `avcat` beside it on the path.

Inputs and outputs are those of `stages._registry.signature_of`.
"""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from avcat.checkpoint import load_model, read_facts
from avcat.inference.redraw import Redrawer
from avcat.methods import find, network_of
from avcat.methods.generator import Generator
from avcat.methods.syncnet.model import SyncNet
from avcat.metrics.embed import embed_clip

BATCH = 8  # frames or windows at once


class Served(PythonModel):
    """A model file of any kind."""

    def load_context(self, context: Any) -> None:
        path = context.artifacts["model"]
        kind = read_facts(path).kind
        network = network_of(kind)
        if issubclass(network, Generator):
            self.answer = _redraw(Redrawer.from_checkpoint(path))
        elif issubclass(network, SyncNet):
            self.answer = _match(load_model(path, SyncNet)[0])
        else:
            self.answer = _talk(find(kind, "run", "RUN").from_checkpoint(path, "cpu", BATCH))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints as schemas
        return self.answer(model_input)


def _redraw(redrawer: Redrawer) -> Any:
    return lambda given: redrawer.redraw(
        given["crops"], given["mels"], redrawer.encode_reference(given["reference"][0])
    )


def _talk(talker: Any) -> Any:
    return lambda given: talker.talk(given["reference"][0], given["mels"])


def _match(network: SyncNet) -> Any:
    def cosines(given: Any) -> np.ndarray:
        faces, sounds = embed_clip(network, given["crops"], given["mel"], BATCH)
        found: np.ndarray = (faces * sounds).sum(1)
        return found

    return cosines


set_model(Served())
