"""A trained model as dubbing and evaluation use it: crops and sounds in, crops with redrawn mouths out."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avcat.checkpoint import load_model
from avcat.data.inputs import InputConfig
from avcat.errors import InputError
from avcat.inference import ONNX_SUFFIX
from avcat.methods.generator import Generator, Reference
from avcat.nn.pictures import crops_to_network, network_to_crops
from avcat.nn.precision import Precision, WantedPrecision, autocast, resolved


class Redrawer:
    """Redraws the network's own region of aligned crops. All that a caller must match is in the model file."""

    def __init__(
        self,
        network: Generator,
        inputs: InputConfig,
        *,
        device: str,
        batch_frames: int,
        precision: Precision = "fp32",
        compile: bool = False,
        workers: int = 1,
    ) -> None:
        """`precision`: of products and convolutions; `compile`: by torch, minutes at first, then faster.

        `workers`: threads that may call `redraw` at once, each for its own batch.
        """
        self.network, self.align, self.mel, self.crop_size = network, inputs.align, inputs.mel, inputs.crop_size
        if compile:
            network.compile()
        self.image_size = network.image_size
        self.device, self.batch_frames, self.precision = device, batch_frames, precision
        self.workers = workers
        self._redrawn = network.redrawn_region(self.crop_size)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        device: str = "cpu",
        batch_frames: int | None = None,
        precision: WantedPrecision = "auto",
        compile: bool = False,
    ) -> "Redrawer":
        """Loads a model file of any `Generator`, or its ONNX export, which runs in fp32 on a processor.

        By default a batch has 8 frames on a processor, else 32; precision `auto` is the device's fastest.
        Raises InputError if the file cannot be used.
        """
        is_onnx = Path(path).suffix == ONNX_SUFFIX
        if is_onnx:
            return cls._from_onnx(path, device, batch_frames, precision, compile)
        network, file = load_model(path, Generator, device)
        on_cpu = torch.device(device).type == "cpu"
        return cls(
            network,
            file.inputs,
            device=device,
            batch_frames=batch_frames or (8 if on_cpu else 32),
            precision=resolved(precision, device),
            compile=compile,
            workers=torch.get_num_threads() if on_cpu and not compile else 1,
        )

    @classmethod
    def _from_onnx(
        cls, path: str | Path, device: str, batch_frames: int | None, precision: WantedPrecision, compile: bool
    ) -> "Redrawer":
        if torch.device(device).type != "cpu" or precision not in ("auto", "fp32") or compile:
            raise InputError(f"{path}: an ONNX model runs on the processor, in fp32 and not compiled by torch")
        from avcat.inference.onnx_network import load_onnx  # needs an extra

        network, facts = load_onnx(path)
        return cls(network, facts.inputs, device=device, batch_frames=batch_frames or 8)

    def start_worker(self) -> None:
        """Called first by each of several `workers`.

        One thread per batch: threads that share a batch wait for each other, and for other users of the cores.
        """
        if self.workers > 1:
            torch.set_num_threads(1)  # of this thread, and of later ones

    @torch.inference_mode()
    def encode_reference(self, crop: np.ndarray) -> Reference:
        """A crop `uint8 [S, S, 3]` -> what all frames with this reference share; computed once per clip."""
        with autocast(self.precision, self.device):
            return self.network.encode_reference(crops_to_network(crop[None], self.image_size, self.device))

    @torch.inference_mode()
    def redraw(self, crops: np.ndarray, mel_windows: np.ndarray, reference: Reference | None) -> np.ndarray:
        """Crops `uint8 [N, S, S, 3]`, windows `float32 [N, 80, 20]` -> crops, new in the redrawn region only.

        Without a reference each crop is its own reference, as the paper allows when testing (section 3.1): the network
        sees the mouth that it replaces. Raises InputError if a batch does not fit into a GPU's memory.
        """
        out = crops.copy()
        for start in range(0, len(crops), self.batch_frames):
            part = slice(start, start + self.batch_frames)
            try:
                prediction = self._predict(crops[part], mel_windows[part], reference)
            except torch.OutOfMemoryError:
                frames = f"{self.batch_frames} frames at once"
                raise InputError(f"{self.device}: {frames} are too many for its memory; take fewer (--batch)") from None
            out[part][:, self._redrawn] = network_to_crops(prediction, self.crop_size)[:, self._redrawn]
        return out

    def _predict(self, crops: np.ndarray, mel_windows: np.ndarray, reference: Reference | None) -> Tensor:
        mels = torch.from_numpy(np.ascontiguousarray(mel_windows)).to(self.device)
        with autocast(self.precision, self.device):
            images = crops_to_network(crops, self.image_size, self.device)
            return self.network(images, reference or self.network.encode_reference(images), mels).prediction

    def degrade(self, crops: np.ndarray) -> np.ndarray:
        """Output of a perfect network of this image size: the true crops, with the same change of size."""
        out = crops.copy()
        images = crops_to_network(crops, self.image_size, self.device)
        out[:, self._redrawn] = network_to_crops(images, self.crop_size)[:, self._redrawn]
        return out
