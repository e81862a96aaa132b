"""Training MakeItTalk: landmarks from sounds, and, separately, pictures from true landmarks."""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, Clips, MarkedClips
from avcat.losses.pixel import PixelLoss
from avcat.losses.vgg import VGGLoss
from avcat.media.mel import mel_windows
from avcat.methods.makeittalk.model import OUTER, MakeItTalk, MakeItTalkConfig, draw_landmarks
from avcat.methods.syncnet.model import SyncNet
from avcat.nn.pictures import to_network
from avcat.settings import Rate, settings
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light
from avcat.training.hearing import HearingTraining, start_audio_branch
from avcat.training.task import LossesTask, placed, strip_of

EYES = 20  # the first of the eyes among the points
UNMIRRORED = 1.0  # the draw that leaves a picture as it is


@settings
class MakeItTalkWeights:
    """Those of landmarks and those of pictures train different weights."""

    landmarks: Rate = 0.0  # L1 of positions, published: squared
    shape: Rate = 0.0  # of each point relative to its neighbours' mean, published: 1
    l1: Rate = 0.0  # published: 1
    edges: Rate = 0.0  # published: 0
    vgg: Rate = 0.0  # published: 1
    style: Rate = 0.0  # Gram matrices of the same layers; published: 1


@settings
class MakeItTalkTraining(HearingTraining):
    """`augment` changes colours, but mirrors nothing: landmarks have sides."""

    model: MakeItTalkConfig
    weights: MakeItTalkWeights
    sequence_frames: int  # per training sequence of the landmark predictor; published: 18


class Talk(NamedTuple):
    """A batch of W windows. Landmarks are fractions of the side; pictures in -1..1."""

    truth: Tensor  # [5 W, 3, S, S]
    portraits: Tensor  # [5 W, 3, S, S]: each frame's reference
    maps: Tensor  # [5 W, 3, S, S]: the true landmarks, drawn
    mels: Tensor  # [W, T, 80, 20]: of consecutive frames about the window
    marks: Tensor  # [W, T, 22, 2]: the landmarks that belong to them
    rest: Tensor  # [W, 22, 2]: those of the reference


class MakeItTalkTask(LossesTask[MakeItTalk, Talk]):
    """See `avcat.training.loop.Task`."""

    config: MakeItTalkTraining

    def __init__(
        self, config: MakeItTalkTraining, train: Clips, held_out: Clips, expert: SyncNet | None, device: str
    ) -> None:
        torch.manual_seed(config.optimiser.seed)
        super().__init__(config, MakeItTalk(config.model), train, held_out, device, min_gap=config.min_reference_gap)
        self.vgg = placed(VGGLoss(config.vgg_weights, config.vgg_layer_weights), device)
        size = config.model.image_size
        self.pixels = PixelLoss(torch.ones(1, 1, size, size, device=device), config.l1_mouth)
        start_audio_branch(self.network.landmarks.audio, config, expert, train, device)
        self.start()

    def compile(self) -> None:
        self.network.landmarks.compile()
        self.network.portrait.compile()
        self.vgg.compile()

    def losses(self, names: list[str], network: MakeItTalk, sample: Talk) -> dict[str, Tensor]:
        marks = network.landmarks(sample.mels, sample.rest).float()
        drawn = network.portrait(sample.portraits, sample.maps)
        found = {"landmarks": (marks - sample.marks).abs().mean(), "shape": shape_loss(marks, sample.marks)}
        if "l1" in names:
            found["l1"] = self.pixels.l1(drawn, sample.truth)
        if "edges" in names:
            found["edges"] = self.pixels.edges(drawn, sample.truth)
        if "vgg" in names or "style" in names:
            found["vgg"], found["style"] = self.vgg.with_style(drawn, sample.truth)
        return {name: found[name] for name in names}

    def sample(self, clips: Clips, batch: Batch, draws: Tensor | None) -> Talk:
        marked = cast(MarkedClips, clips)
        size, frames = self.config.model.image_size, self.config.sequence_frames
        marks = [marked.landmarks(clip) for clip in batch.clips.tolist()]
        shown = np.concatenate([mark[at[:-1]] for mark, at in zip(marks, batch.at, strict=True)])
        maps = to_network(draw_landmarks(shown, size))
        images = to_network(np.concatenate((batch.frames, batch.references[:, None]), 1))
        if draws is not None:
            light = draws[:, :LIGHT_DRAWS].clone()
            light[:, 0] = UNMIRRORED
            images = mirror_and_light(images, light)
        portraits = images[:, WINDOW_FRAMES:].expand(-1, WINDOW_FRAMES, -1, -1, -1)
        heard, moved = [], []
        for clip, mark, at in zip(batch.clips.tolist(), marks, batch.at, strict=True):
            span = np.arange(frames) + min(max(0, at[0] - frames // 2), max(0, len(mark) - frames))
            span = span.clip(max=len(mark) - 1)  # a clip shorter than the sequence holds its last frame
            heard.append(mel_windows(clips.mel(clip), span))
            moved.append(mark[span])
        rest = np.stack([mark[at[-1]] for mark, at in zip(marks, batch.at, strict=True)])

        def picture(tensor: Tensor) -> Tensor:
            return tensor.to(self.device).contiguous(memory_format=torch.channels_last)

        return Talk(
            picture(images[:, :WINDOW_FRAMES].flatten(0, 1)),
            picture(portraits.flatten(0, 1)),
            picture(maps),
            torch.from_numpy(np.stack(heard)).to(self.device),
            torch.from_numpy(np.stack(moved)).to(self.device),
            torch.from_numpy(rest).to(self.device),
        )

    @torch.inference_mode()
    def strip(self, network: MakeItTalk) -> np.ndarray:
        """The first frame follows the landmarks that the sound moves."""
        clips = self.held_out
        marked = cast(MarkedClips, clips)

        def drawn(clip: int, at: np.ndarray, frames: Tensor) -> Tensor:
            mels = torch.from_numpy(mel_windows(clips.mel(clip), np.arange(clips.lengths[clip])))
            rest = torch.from_numpy(marked.landmarks(clip)[:1]).to(self.device)
            moved = network.landmarks(mels[None].to(self.device), rest)[0, at].float().cpu().numpy()
            maps = to_network(draw_landmarks(moved, clips.image_size)).to(self.device)
            return network.portrait(frames[-1:].expand(len(at), -1, -1, -1), maps)  # type: ignore[no-any-return]

        return strip_of(clips, self.device, drawn)


def shape_loss(marks: Tensor, truth: Tensor) -> Tensor:
    """How differently each point lies from the middle of its neighbours on its line (the paper's graph Laplacian).

    Landmarks `[N, T, 22, 2]` as fractions of the side; the mouth's two lines are closed, the eyes have no neighbours.
    """
    error = marks - truth
    lines = (error[..., :OUTER, :], error[..., OUTER:EYES, :])
    return sum(
        ((line - (line.roll(1, -2) + line.roll(-1, -2)) / 2).abs().mean() for line in lines), error.new_zeros(())
    )


SETTINGS, TASK = MakeItTalkTraining, MakeItTalkTask
