"""Fine-tuning on one person that preserves how sounds move the mouth (`avcat.dubbing.fit`)."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Clips
from avcat.media.mel import mel_windows
from avcat.methods.avcat.model import AVCAT
from avcat.methods.avcat.task import AVCATTask, TrainConfig
from avcat.methods.generator import Redrawn
from avcat.training.augment import LIGHT_DRAWS, mirror, misalign
from avcat.training.generator import Sample
from avcat.training.hearing import CALIBRATION_WINDOWS

_OLD = 10_000  # updates after which the EMA has its full decay
_MOTION = 1.0  # weight of the loss of that name


class PersonTask(AVCATTask):
    """See `avcat.training.loop.Task`. It learns how the face looks, and preserves how sound moves it.

    Of a network with two steps only the second learns: the first maps sounds to mouths, learnt from more people than
    are available here. Beside equation 10, `motion` is the L1 between the deviations of a window's frames from their
    mean now and before: from a few seconds a network would soon memorise each frame, and then draw their mean for any
    sound. Crops are also slightly misaligned in every sample; the light is not changed, as it is this clip's own.
    """

    def __init__(self, config: TrainConfig, network: AVCAT, train: Clips, held_out: Clips, device: str) -> None:
        """Starts from `network`."""
        super().__init__(config, train, held_out, None, device)
        self.network.load_state_dict(network.state_dict())
        if self.network.has_two_steps:
            for part in (self.network.audio, self.network.backbone):
                if part is not None:
                    part.requires_grad_(False)
        self.start()
        self.ema.n_averaged.fill_(_OLD)
        self._before = copy.deepcopy(self.network).requires_grad_(False).eval()

    def hear(self, *clips: Clips) -> None:
        """Centres E_a on the voice of the person, who is heard in `clips`."""
        windows = voice(*clips).to(self.device)
        for network in (self.network, self.averaged, self._before):
            network.audio.recentre(windows)

    def augmented(self, images: Tensor, draws: Tensor) -> Tensor:
        return misalign(mirror(images, draws[:, :1]), draws[:, LIGHT_DRAWS:])

    def weights(self) -> dict[str, float]:
        return super().weights() | {"motion": _MOTION}

    def table(self, redrawn: Redrawn, composite: Tensor, sample: Sample) -> dict[str, Callable[[], Tensor]]:
        return super().table(redrawn, composite, sample) | {"motion": lambda: self._motion(composite, sample)}

    def _motion(self, composite: Tensor, sample: Sample) -> Tensor:
        with torch.no_grad():
            before = self._before.composite(sample.truth, self.draw(self._before, sample).prediction)
        return self.pixels.l1(_deviations(composite), _deviations(before))


def voice(*stores: Clips) -> Tensor:
    """Evenly spaced windows of all sound in some clips, `[N, 80, 20]`."""
    clips = [(store, clip) for store in stores for clip in range(len(store))]
    heard = np.concatenate([mel_windows(store.mel(clip), np.arange(store.lengths[clip])) for store, clip in clips])
    some = np.linspace(0, len(heard) - 1, min(len(heard), CALIBRATION_WINDOWS)).astype(int)
    return torch.from_numpy(heard[some])


def _deviations(pictures: Tensor) -> Tensor:
    """`[5 W, 3, S, S]`, each minus the mean of its window's five."""
    windows = pictures.float().unflatten(0, (-1, WINDOW_FRAMES))
    return (windows - windows.mean(1, keepdim=True)).flatten(0, 1)
