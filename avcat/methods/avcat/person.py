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
from avcat.methods.generator import Redrawn
from avcat.training.augment import LIGHT_DRAWS, mirror, misalign
from avcat.training.generator import RedrawingTask, Sample
from avcat.training.hearing import CALIBRATION_WINDOWS
from avcat.training.optimiser import OptimiserConfig
from avcat.training.task import DrawingTraining

_OLD = 10_000  # updates after which the EMA has its full decay
_L1_MOUTH, _EDGES = 8.0, 3.0  # as in the small profiles
_MOTION = 1.0  # weight of the loss of that name


class PersonTask(RedrawingTask[AVCAT]):
    """See `avcat.training.loop.Task`. It learns how the face looks, and preserves how sound moves it.

    Only picture losses: no sync network knows this person better than the model does, and E_a's encoder stays, as the
    sound of speech is not specific to a person. Of a network with two steps only the second learns: the first maps
    sounds to mouths, learnt from more people than are available here. `motion` is the L1 between the deviations of a
    window's frames from their mean now and before: from a few seconds a network would soon memorise each frame, and
    then draw their mean for any sound. A window's frames come from all over a clip, so that its mouths differ. Crops
    are also slightly misaligned in every sample; the light is not changed, as it is this clip's own.
    """

    def __init__(self, optimiser: OptimiserConfig, network: AVCAT, train: Clips, held_out: Clips, device: str) -> None:
        """Starts from `network`, which stays as it is."""
        config = DrawingTraining(optimiser, augment=True, l1_mouth=_L1_MOUTH, min_reference_gap=WINDOW_FRAMES)
        super().__init__(config, copy.deepcopy(network), train, held_out, device, consecutive=False)
        self.network.audio.encoder.requires_grad_(False)
        if self.network.has_two_steps:
            for part in filter(None, (self.network.audio, self.network.backbone)):
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
        return {"l1": 1.0, "edges": _EDGES, "motion": _MOTION}

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
