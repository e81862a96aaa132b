"""LSE-C, LSE-D and offset as the official SyncNet computes them [Chung and Zisserman 2016]: network, crop and protocol.

The weights (`syncnet_v2.model` of joonson/syncnet_python) may not be redistributed: they are loaded from a path. Boxes
come from our own detector instead of S3FD. Legend: T frames at 25 fps, N windows of five frames, 1024 dimensions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import medfilt
from torch import Tensor, nn

from avcat.data.schema import FPS, WINDOW_FRAMES
from avcat.errors import InputError
from avcat.face.retinaface import load_weights
from avcat.face.track import box_iou
from avcat.metrics.mfcc import COEFFICIENTS, SAMPLE_RATE, mfcc
from avcat.metrics.sync import SyncScore, sync_scores

SHA256 = "961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442"
SIDE = 224
MAX_SHIFT = 15
SAMPLES_PER_FRAME = SAMPLE_RATE // FPS
ROWS_PER_FRAME, WINDOW_ROWS = 4, 20  # of cepstra
LAST_FRAMES = 5  # of a clip start no window; four would be enough, but the tool leaves five
BATCH_WINDOWS = 16

MIN_IOU = 0.5  # of a face and the same one in the frame before
MAX_MISSED = 25  # frames after which a face that comes back is another one
MIN_DETECTIONS = 100  # a track must have more
MIN_SIDE_PX = 100.0  # its mean box must be larger
MEDIAN_FRAMES = 13
SHORTEST = MEDIAN_FRAMES // 2 + 1  # frames; with fewer the median sees mostly the zeros outside the track
MARGIN = 0.4  # of half the box's side, at the left, the right and, twice, below
GREY = 110  # outside the picture

Boxes = NDArray[np.floating]  # [..., 4]: x0, y0, x1, y1 in pixels


class OfficialSyncNet(nn.Module):
    """Two convolutional networks into one space of 1024 dimensions. Names and places are those of the weights' file."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_block2d(1, 64),
            nn.Identity(),  # a pooling over one pixel in the original
            *_block2d(64, 192),
            nn.MaxPool2d(3, (1, 2)),
            *_block2d(192, 384),
            *_block2d(384, 256),
            *_block2d(256, 256),
            nn.MaxPool2d(3, 2),
            *_block2d(256, 512, (5, 4), 0),
        )
        self.netcnnlip = nn.Sequential(
            *_block3d(3, 96, (WINDOW_FRAMES, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block3d(96, 256, (1, 5, 5), 2, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), 1, 1),
            *_block3d(256, 256, (1, 3, 3), 1, 1),
            *_block3d(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block3d(256, 512, (1, 6, 6), 1, 0),
        )
        self.netfcaud, self.netfclip = _head(), _head()

    def embed_audio(self, cepstra: Tensor) -> Tensor:
        """`[N, 1, 13, 20]` -> `[N, 1024]`, not normalised."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))  # type: ignore[no-any-return]

    def embed_faces(self, frames: Tensor) -> Tensor:
        """T consecutive frames `[3, T, 224, 224]`, BGR in 0..255 -> their T - 4 windows `[T - 4, 1024]`.

        Only the first layer looks along time, so a run of frames gives the same as its windows one by one.
        """
        maps = self.netcnnlip(frames[None])
        return self.netfclip(maps[0, :, :, 0, 0].T)  # type: ignore[no-any-return]


def _block2d(
    inputs: int, outputs: int, kernel: tuple[int, int] = (3, 3), padding: int = 1
) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU()


def _block3d(
    inputs: int, outputs: int, kernel: tuple[int, int, int], stride: int, padding: int
) -> tuple[nn.Module, nn.Module, nn.Module]:
    conv = nn.Conv3d(inputs, outputs, kernel, (1, stride, stride), (0, padding, padding))
    return conv, nn.BatchNorm3d(outputs), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def load_official(path: str | Path, device: str = "cpu", sha256: str = SHA256) -> OfficialSyncNet:
    """The network with the weights of a file, in eval mode. Raises InputError if it is not that file."""
    network, state = OfficialSyncNet(), load_weights(str(path), sha256)
    load_state(network, state, path)
    return network.eval().requires_grad_(False).to(device)


def load_state(network: nn.Module, state: dict[str, Any], path: str | Path) -> None:
    """Loads a state dict, possibly too old for batch norms to count their batches. Raises InputError."""
    try:
        missing, unknown = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise InputError(f"{path}: not the weights of the official SyncNet (other shapes)") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unknown:
        raise InputError(f"{path}: not the weights of the official SyncNet ({[*missing, *unknown][0]})")


# ---------------------------------------------------------------------------------------------------------------------
# From pictures to crops


class FaceTrack(NamedTuple):
    """One face through consecutive frames."""

    first: int  # number of its first frame
    boxes: Boxes  # float64 [n, 4], interpolated if the face was missed


def face_tracks(
    detections: Sequence[Sequence[Boxes]], min_detections: int = MIN_DETECTIONS, min_side_px: float = MIN_SIDE_PX
) -> list[FaceTrack]:
    """The faces of one shot, from the boxes in each of its frames, as the official pipeline follows them.

    A track takes a box that overlaps its last one by more than half, at most 25 frames later. Tracks of not more than
    `min_detections` boxes, and of boxes not larger than `min_side_px` on average, are left out.
    """
    left = [list(boxes) for boxes in detections]
    tracks = []
    while any(left):
        frames: list[int] = []
        boxes: list[Boxes] = []
        for frame, found in enumerate(left):
            if frames and frame - frames[-1] > MAX_MISSED:
                break
            place = next((i for i, box in enumerate(found) if not boxes or box_iou(boxes[-1], box) > MIN_IOU), None)
            if place is not None:
                frames.append(frame)
                boxes.append(np.asarray(found.pop(place), np.float64))
        every = np.arange(frames[0], frames[-1] + 1)
        whole = np.stack([np.interp(every, frames, side) for side in np.array(boxes).T], axis=1)
        if len(frames) > min_detections and (whole[:, 2:] - whole[:, :2]).mean(axis=0).max() > min_side_px:
            tracks.append(FaceTrack(frames[0], whole))
    return tracks


def crop_faces(images: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.uint8]:
    """RGB pictures `uint8 [T, H, W, 3]` and boxes `[T, 4]` of a track -> `uint8 [T, 224, 224, 3]`.

    The box's centre and half side are median-filtered over 13 frames. The crop reaches from the upper edge of the box
    to 0.8 of a half side below its lower one, and 0.4 of one beyond its sides; outside the picture it is grey.
    """
    assert len(images) == len(boxes) >= SHORTEST, f"{len(images)} pictures, {len(boxes)} boxes"
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) / 2
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half, x, y = (_median(values) for values in (halves, *centres.T))
    return np.stack([_crop(*each) for each in zip(images, half, x, y, strict=True)])


def _median(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """scipy's filter, which assumes zeros outside; they are added first, as it warns of tracks shorter than itself."""
    around = MEDIAN_FRAMES // 2
    return np.asarray(medfilt(np.pad(values, around), MEDIAN_FRAMES))[around:-around]


def _crop(image: NDArray[np.uint8], half: float, x: float, y: float) -> NDArray[np.uint8]:
    border = int(half * (1 + 2 * MARGIN))
    padded = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY))
    x, y = x + border, y + border
    rows = slice(int(y - half), int(y + half * (1 + 2 * MARGIN)))
    columns = slice(int(x - half * (1 + MARGIN)), int(x + half * (1 + MARGIN)))
    return np.asarray(cv2.resize(padded[rows, columns], (SIDE, SIDE)), np.uint8)


# ---------------------------------------------------------------------------------------------------------------------
# From crops and sound to scores


@torch.inference_mode()
def score_faces(network: OfficialSyncNet, faces: NDArray[np.uint8], samples: NDArray[np.floating]) -> SyncScore | None:
    """Crops `uint8 [T, 224, 224, 3]` RGB and their sound at 16 kHz -> the score; None if there is no window.

    N = min(T, samples // 640) - 5. Sound outside the clip counts as zero vectors, as in the official tool, which
    inflates the confidence of short clips: look at `windows`.
    """
    windows = min(len(faces), len(samples) // SAMPLES_PER_FRAME) - LAST_FRAMES
    if windows < 1:
        return None
    device = next(network.parameters()).device
    bgr = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1])).permute(3, 0, 1, 2)
    heard = np.lib.stride_tricks.sliding_window_view(mfcc(samples), (WINDOW_ROWS, COEFFICIENTS))[::ROWS_PER_FRAME, 0]
    cepstra = torch.from_numpy(np.ascontiguousarray(heard[:windows].swapaxes(1, 2)))[:, None]
    seen, sounds = [], []
    for start in range(0, windows, BATCH_WINDOWS):
        stop = min(start + BATCH_WINDOWS, windows)
        seen.append(network.embed_faces(bgr[:, start : stop + WINDOW_FRAMES - 1].to(device).float()).cpu())
        sounds.append(network.embed_audio(cepstra[start:stop].to(device)).cpu())
    return sync_scores(torch.cat(seen).numpy(), torch.cat(sounds).numpy(), MAX_SHIFT, outside="zeros")


def score_clip(
    network: OfficialSyncNet, crops: NDArray[np.uint8], boxes: Boxes, samples: NDArray[np.floating]
) -> SyncScore | None:
    """One clip of one person: pictures `uint8 [T, H, W, 3]`, one box each (`[T, 4]`, NaN if none was found), sound.

    The longest track counts, however short: words last about a second, and the official pipeline would drop all of
    them. None if no face is found for long enough.
    """
    detections = [[box] if np.isfinite(box).all() else [] for box in boxes]
    tracks = [track for track in face_tracks(detections, min_detections=0) if len(track.boxes) >= SHORTEST]
    if not tracks:
        return None
    first, found = max(tracks, key=lambda track: len(track.boxes))
    faces = crop_faces(crops[first : first + len(found)], found)
    heard = samples[first * SAMPLES_PER_FRAME : (first + len(found)) * SAMPLES_PER_FRAME]
    return score_faces(network, faces, heard)
