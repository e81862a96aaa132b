"""How MLflow serves a registered model: it runs this file, and puts the `avcat` beside it on the path.

Inputs and outputs are those of `stages._registry.signature_of`.
"""

from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from avcat.checkpoint import load_model, read_facts
from avcat.face.landmarks import MediaPipeDetector
from avcat.inference.redraw import KINDS, Redrawer
from avcat.inference.talk import KIND, Talker
from avcat.metrics.embed import embed_clip
from avcat.models.syncnet import SyncNet

BATCH = 8  # frames or windows at once


class Served(PythonModel):
    """A model file of any kind."""

    def load_context(self, context: Any) -> None:
        path = context.artifacts["model"]
        kind = read_facts(path).kind
        if kind in KINDS:
            self.answer = _redraw(Redrawer.from_checkpoint(path))
        elif kind == KIND:
            self.answer = _talk(Talker.from_checkpoint(path, MediaPipeDetector(), "cpu", BATCH))
        else:
            network, _ = load_model(path, "syncnet")
            assert isinstance(network, SyncNet)
            self.answer = _fit(network)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads hints as schemas
        return self.answer(model_input)


def _redraw(redrawer: Redrawer) -> Any:
    return lambda given: redrawer.redraw(
        given["crops"], given["mels"], redrawer.encode_reference(given["reference"][0])
    )


def _talk(talker: Talker) -> Any:
    return lambda given: talker.talk(given["reference"][0], given["mels"])


def _fit(network: SyncNet) -> Any:
    def cosines(given: Any) -> np.ndarray:
        faces, sounds = embed_clip(network, given["crops"], given["mel"], BATCH)
        found: np.ndarray = (faces * sounds).sum(1)
        return found

    return cosines


set_model(Served())
