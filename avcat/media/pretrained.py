"""Features of a pretrained network in place of mels: wav2vec 2.0, HuBERT or WavLM, by Hugging Face's transformers.

These networks give one column every 20 ms. Each of their columns is written twice, so that a frame has four columns, as
with mels, and the code that cuts windows or shifts sounds is the same. Their column k covers 25 ms of sound, centred at
20 k + 10 ms: the middle of columns 2 k and 2 k + 1 here. The sound has the level used for mels, or a variance of 1 if
the network expects it. Up to 14 s are processed at once: 10 s, and 2 s on both sides.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avcat.errors import InputError

if TYPE_CHECKING:
    import transformers

    from avcat.media.mel import MelConfig, PretrainedConfig

SAMPLE_RATE, HOP, FIELD = 16_000, 320, 400  # of all three kinds of network: a column every 20 ms, of 25 ms each
COLUMNS_EACH = 2  # of ours per column of theirs
KINDS = ("wav2vec2", "hubert", "wavlm")  # as in their config.json
FOLDER = "AVCAT_FEATURES"  # environment variable: the folder of the weights on this machine
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_EARLY = (FIELD - HOP) // 2  # samples by which a column's field begins before its 20 ms
_BLOCK, _CONTEXT = 500, 100  # of their columns

Listener = Callable[[np.ndarray], np.ndarray]  # float32 [samples] -> float32 [columns of theirs, channels]


def feature_chunks(blocks: Iterator[np.ndarray], by: float, columns: int, config: "MelConfig") -> Iterator[np.ndarray]:
    """The first `columns` columns in pieces, float32 [bands, n], of float [n] sample blocks at 16 kHz.

    The samples are multiplied `by`; beyond their end there is silence. Raises InputError if the weights are missing,
    have another sha256, or do not match `config`.
    """
    assert config.pretrained is not None
    listener, total = listening(config), columns // COLUMNS_EACH
    samples = Samples(blocks, by, _EARLY)
    for start in range(0, total, _BLOCK):
        stop = min(start + _BLOCK, total)
        first, last = max(0, start - _CONTEXT), min(total, stop + _CONTEXT)
        heard = listener(samples.between(HOP * first - _EARLY, HOP * (last - 1) - _EARLY + FIELD))
        assert len(heard) == last - first, (len(heard), last - first)
        yield np.repeat(heard[start - first : stop - first].T, COLUMNS_EACH, axis=1)


class Samples:
    """A stream of blocks, read in stretches that only move forwards, multiplied `by`; `early` is before its start."""

    def __init__(self, blocks: Iterator[np.ndarray], by: float, early: int) -> None:
        self._blocks, self._by = blocks, by
        self._held, self._first = np.zeros(early, np.float32), -early

    def between(self, first: int, stop: int) -> np.ndarray:
        """float32 [stop - first]; silence before the first sample and after the last."""
        parts = [self._held[first - self._first :]]
        have = parts[0].size
        while have < stop - first:
            block = next(self._blocks, None)
            parts.append(
                np.zeros(stop - first - have, np.float32) if block is None else (block * self._by).astype(np.float32)
            )
            have += parts[-1].size
        self._held, self._first = np.concatenate(parts) if len(parts) > 1 else parts[0], first
        return self._held[: stop - first]


def listening(config: "MelConfig") -> Listener:
    """The network that `config.pretrained` names; loaded once. Errors as for `feature_chunks`."""
    assert config.pretrained is not None
    if config.sample_rate != SAMPLE_RATE:
        raise InputError(f"mel.sample_rate: pretrained networks hear {SAMPLE_RATE} Hz, not {config.sample_rate}")
    folder = Path(os.environ.get(FOLDER) or config.pretrained.path)
    return _load(folder, config.pretrained, config.bands, 1 / config.rms)


@lru_cache(maxsize=2)
def _load(folder: Path, config: "PretrainedConfig", channels: int, to_unit: float) -> Listener:
    weights = _checked(folder, config.sha256)
    try:
        import torch
        import transformers
    except ImportError as error:
        raise InputError(
            f"mel.pretrained needs packages that are not installed ({error}): pip install 'avcat[features]'"
        ) from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    network = _network(folder, weights)
    facts = network.config
    if facts.hidden_size != channels:
        raise InputError(f"mel.bands: {channels}, but {folder} has {facts.hidden_size} features")
    if not 0 <= config.layer <= facts.num_hidden_layers:
        raise InputError(
            f"mel.pretrained.layer: {config.layer}, but {folder} has layers 0 to {facts.num_hidden_layers}"
        )
    if (np.prod(facts.conv_stride), _field(facts.conv_kernel, facts.conv_stride)) != (HOP, FIELD):
        raise InputError(f"{folder}: does not give one column every {HOP} samples of {FIELD} each")
    level = to_unit if _wants_unit_variance(folder) else 1.0

    @torch.inference_mode()
    def listen(samples: np.ndarray) -> np.ndarray:
        states = network(torch.from_numpy(samples * np.float32(level))[None], output_hidden_states=True).hidden_states
        return states[config.layer][0].numpy()  # type: ignore[no-any-return]

    return listen


def _checked(folder: Path, sha256: str) -> Path:
    """The file of the weights. Raises InputError if it is missing, or its hash does not begin with `sha256`."""
    for name in _WEIGHTS:
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if not sha256 or not found.startswith(sha256.lower()):
                raise InputError(f"{path}: its sha256 is {found}, not {sha256!r} (mel.pretrained.sha256)")
            return path
    raise InputError(f"{folder}: no {' or '.join(_WEIGHTS)} here; set {FOLDER} to the folder of the features' weights")


def _network(folder: Path, weights: Path) -> "transformers.PreTrainedModel":
    import transformers
    from safetensors import SafetensorError

    try:
        facts = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        if facts.model_type not in KINDS:
            raise InputError(f"{folder}: a network of kind {facts.model_type}, there are {', '.join(KINDS)}")
        network, report = transformers.AutoModel.from_pretrained(
            folder,
            config=facts,
            local_files_only=True,
            use_safetensors=weights.suffix == ".safetensors",
            output_loading_info=True,
        )
        if missing := sorted(report["missing_keys"]):  # which transformers would initialise at random
            raise InputError(f"{weights}: lacks {missing[0]} and {len(missing) - 1} more")
        return network.eval()
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: cannot be loaded ({' '.join(str(error).split())[:200]})") from error


def _field(kernels: list[int], strides: list[int]) -> int:
    """Receptive field of one column in samples."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field, step = field + (kernel - 1) * step, step * stride
    return field


def _wants_unit_variance(folder: Path) -> bool:
    """The setting of the preprocessor beside the weights; True if there is none, as for most networks."""
    import transformers

    if not (folder / "preprocessor_config.json").is_file():
        return True
    return bool(transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True).do_normalize)
