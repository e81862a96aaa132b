"""Training MakeItTalk: landmarks from sounds, and, separately, pictures from true landmarks."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avcat.config import MakeItTalkTraining
from avcat.data.schema import WINDOW_FRAMES
from avcat.data.windows import Batch, ClipStore, WindowSampler
from avcat.losses.pixel import PixelLoss
from avcat.losses.vgg import VGGLoss
from avcat.media.mel import mel_windows
from avcat.models.makeittalk import OUTER, MakeItTalk, draw_landmarks
from avcat.models.syncnet import SyncNet
from avcat.nn.precision import autocast
from avcat.training.augment import LIGHT_DRAWS, mirror_and_light, to_network
from avcat.training.common import Optimiser, Resumable, ema_of, step_draws, update
from avcat.training.generator import STRIP_CLIPS, STRIP_FRAMES, VALIDATION_WINDOWS, side_by_side
from avcat.training.hearing import start_audio_branch
from avcat.training.loop import learning_rate_factor
from avcat.training.ranks import average, ranks

EYES = 20  # the first of the eyes among the points
UNMIRRORED = 1.0  # the draw that leaves a picture as it is


class Talk(NamedTuple):
    """A batch of W windows. Landmarks are fractions of the side; pictures in -1..1."""

    truth: Tensor  # [5 W, 3, S, S]
    portraits: Tensor  # [5 W, 3, S, S]: each frame's reference
    maps: Tensor  # [5 W, 3, S, S]: the true landmarks, drawn
    mels: Tensor  # [W, T, 80, 20]: of consecutive frames about the window
    marks: Tensor  # [W, T, 22, 2]: the landmarks that belong to them
    rest: Tensor  # [W, 22, 2]: those of the reference


class MakeItTalkTask(Resumable):
    """See `avcat.training.loop.Task`."""

    parts = ("network", "ema", "optimiser")

    def __init__(
        self, config: MakeItTalkTraining, train: ClipStore, held_out: ClipStore, expert: SyncNet | None, device: str
    ) -> None:
        self.config, self.device, self.train, self.held_out = config, device, train, held_out
        optimiser = config.optimiser
        torch.manual_seed(optimiser.seed)
        self.network = MakeItTalk(config.model).to(memory_format=torch.channels_last).to(device)
        vgg = VGGLoss(config.vgg_weights, config.vgg_layer_weights)
        self.vgg = vgg.to(memory_format=torch.channels_last).to(device)
        size = config.model.image_size
        self.pixels = PixelLoss(torch.ones(1, 1, size, size, device=device), config.weights.l1_mouth)
        self.sampler = WindowSampler(
            train,
            seed=optimiser.seed,
            clips=optimiser.batch_clips,
            min_gap=config.min_reference_gap,
            share=ranks().share(optimiser.batch_clips),
        )
        start_audio_branch(self.network.landmarks.audio, config, expert, train, device)
        self.ema = ema_of(self.network, optimiser.ema_decay)
        self.optimiser = Optimiser(self.network, optimiser.learning_rate, optimiser)

    def compile(self) -> None:
        """Has torch compile what a step runs, at its first run."""
        self.network.landmarks.compile()
        self.network.portrait.compile()
        self.vgg.compile()

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        return self.sampler.prefetch(start, stop)

    def step(self, number: int, batch: Batch) -> dict[str, float]:
        optimiser, weights = self.config.optimiser, self.weights()
        talk = self.talk(self.train, batch, step_draws(optimiser, number, self.sampler.share))
        names = [name for name, weight in weights.items() if weight]
        with autocast(optimiser.precision, self.device):
            losses = self.losses(names, self.network, talk)
        total = sum((weights[name] * loss for name, loss in losses.items()), talk.truth.new_zeros(()))
        rate = optimiser.learning_rate * learning_rate_factor(number, optimiser)
        norm = update(self.optimiser, [total], 1, rate, optimiser.gradient_clip)
        if math.isfinite(norm):
            self.ema.update_parameters(self.network)
        figures = {name: loss.item() for name, loss in losses.items()}
        return average(figures | {"total": total.item(), "gradient_norm": norm, "learning_rate": rate})

    def weights(self) -> dict[str, float]:
        """The factor of each loss. Those of landmarks and those of pictures train different weights."""
        w = self.config.weights
        return {
            "landmarks": w.landmarks,
            "shape": w.shape,
            "l1": w.l1,
            "edges": w.edges,
            "vgg": w.vgg,
            "style": w.style,
        }

    def losses(self, names: list[str], network: MakeItTalk, talk: Talk) -> dict[str, Tensor]:
        """The losses `names`, unweighted."""
        marks = network.landmarks(talk.mels, talk.rest).float()
        drawn = network.portrait(talk.portraits, talk.maps)
        found = {"landmarks": (marks - talk.marks).abs().mean(), "shape": shape_loss(marks, talk.marks)}
        if "l1" in names:
            found["l1"] = self.pixels.l1(drawn, talk.truth)
        if "edges" in names:
            found["edges"] = self.pixels.edges(drawn, talk.truth)
        if "vgg" in names or "style" in names:
            found["vgg"], found["style"] = self.vgg.with_style(drawn, talk.truth)
        return {name: found[name] for name in names}

    def talk(self, store: ClipStore, batch: Batch, draws: Tensor | None) -> Talk:
        size, frames = self.config.model.image_size, self.config.sequence_frames
        marks = [store.landmarks(clip) for clip in batch.clips.tolist()]
        shown = np.concatenate([mark[at[:-1]] for mark, at in zip(marks, batch.at, strict=True)])
        maps = to_network(torch.from_numpy(draw_landmarks(shown, size)))
        images = to_network(torch.cat((torch.from_numpy(batch.frames), torch.from_numpy(batch.references[:, None])), 1))
        if draws is not None and self.config.augment:
            light = draws[:, :LIGHT_DRAWS].clone()
            light[:, 0] = UNMIRRORED
            images = mirror_and_light(images, light)
        portraits = images[:, WINDOW_FRAMES:].expand(-1, WINDOW_FRAMES, -1, -1, -1)
        heard, moved = [], []
        for clip, mark, at in zip(batch.clips.tolist(), marks, batch.at, strict=True):
            span = np.arange(frames) + min(max(0, at[0] - frames // 2), max(0, len(mark) - frames))
            span = span.clip(max=len(mark) - 1)  # a clip shorter than the sequence holds its last frame
            heard.append(mel_windows(store.mel(clip), span))
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
    def validate(self, number: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """All losses, also those of weight 0, on fixed held-out windows, and a strip of clips."""
        sampler = WindowSampler(self.held_out, seed=0, clips=VALIDATION_WINDOWS, min_gap=self.config.min_reference_gap)
        talk = self.talk(self.held_out, sampler.batch(0), None)
        network = self.averaged
        with autocast(self.config.optimiser.precision, self.device):
            losses = self.losses(list(self.weights()), network, talk)
        figures = {name: loss.item() for name, loss in losses.items()}
        return figures, {"held_out": strip(network, self.held_out, self.device)}

    @property
    def averaged(self) -> MakeItTalk:
        """The networks with averaged weights, in eval mode: what is kept."""
        network = self.ema.module.eval()
        assert isinstance(network, MakeItTalk)
        return network


def shape_loss(marks: Tensor, truth: Tensor) -> Tensor:
    """How differently each point lies from the middle of its neighbours on its line (the paper's graph Laplacian).

    Landmarks `[N, T, 22, 2]` as fractions of the side; the mouth's two lines are closed, the eyes have no neighbours.
    """
    error = marks - truth
    lines = (error[..., :OUTER, :], error[..., OUTER:EYES, :])
    return sum(
        ((line - (line.roll(1, -2) + line.roll(-1, -2)) / 2).abs().mean() for line in lines), error.new_zeros(())
    )


@torch.inference_mode()
def strip(network: MakeItTalk, store: ClipStore, device: str) -> np.ndarray:
    """Held-out clips, two rows each: the truth, and the first frame following the landmarks that the sound moves."""
    rows = []
    for clip in np.linspace(0, len(store) - 1, min(STRIP_CLIPS, len(store))).astype(int):
        at = np.linspace(1, store.lengths[clip] - 1, STRIP_FRAMES).astype(int)
        frames = to_network(torch.from_numpy(store.frames(clip, np.append(at, 0)))).to(device)
        mels = mel_windows(store.mel(clip), np.arange(store.lengths[clip]))
        rest = torch.from_numpy(store.landmarks(clip)[:1]).to(device)
        moved = network.landmarks(torch.from_numpy(mels)[None].to(device), rest)[0, at].float().cpu().numpy()
        maps = to_network(torch.from_numpy(draw_landmarks(moved, store.image_size))).to(device)
        rows += [frames[:-1], network.portrait(frames[-1:].expand(len(at), -1, -1, -1), maps)]
    return side_by_side(rows)
