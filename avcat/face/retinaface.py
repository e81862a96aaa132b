"""RetinaFace as a detector for `avcat.face.landmarks`: many pictures at once, on a CPU or a GPU.

The network is built from the parts of `retinaface-pytorch` (the extra `pipeline`), with one of two bodies (backbones):
ResNet-50, with that package's published weights, or MobileNet of width 0.25, with those of its parent project. They
were trained with different input: RGB by ImageNet's mean and deviation, and BGR minus (104, 117, 123).
"""

import hashlib
import io
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import nms

from avcat.data.schema import MOUTH_POINTS
from avcat.errors import InputError
from avcat.face.detector import RetinaFaceConfig
from avcat.face.landmarks import LEFT_CORNER, RIGHT_CORNER, Face, box_area

MIN_SIZES, STEPS, VARIANCE = [[16, 32], [64, 128], [256, 512]], [8, 16, 32], [0.1, 0.2]  # of the published anchors
NMS_IOU = 0.4


class Body(NamedTuple):
    """Constants of a body: channels of its last three stages and of the heads, and its input normalisation."""

    channels: tuple[int, int, int]
    out_channels: int
    bgr: bool
    mean: tuple[float, float, float]  # of 0..255, in the network's order of colours
    deviation: tuple[float, float, float]


BODIES = {
    "resnet50": Body((512, 1024, 2048), 256, False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "mobilenet0.25": Body((64, 128, 256), 64, True, (104.0, 117.0, 123.0), (1.0, 1.0, 1.0)),
}


class RetinaFaceDetector:
    """Finds all faces of each picture independently, in batches. Of the mouth, it gives only the corners."""

    def __init__(self, config: RetinaFaceConfig, *, max_faces: int, min_score: float, device: str = "cpu") -> None:
        """Raises InputError if the weights are missing, have another sha256, or do not fit the body."""
        self._config, self._max_faces, self._min_score, self._device = config, max_faces, min_score, device
        body = BODIES[config.body]
        network = _Network(config.body)
        state = load_weights(config.weights, config.sha256)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise InputError(f"{config.weights}: not weights of RetinaFace with the body {config.body}") from error
        self._network = network.eval().requires_grad_(False).to(device)
        self._bgr = body.bgr
        self._mean, self._deviation = (
            torch.tensor(values, device=device)[:, None, None] for values in (body.mean, body.deviation)
        )

    def follow(self, images: Iterable[np.ndarray]) -> Iterator[list[Face]]:
        """The faces of each picture of a clip, largest first."""
        stream = iter(images)
        while batch := list(islice(stream, self._config.batch_frames)):
            for _, same in groupby(batch, key=lambda image: image.shape):
                yield from self._detect(list(same))

    @torch.inference_mode()
    def _detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """The faces of uint8 [H, W, 3] RGB pictures of one size."""
        height, width = images[0].shape[:2]
        shrink = min(1.0, self._config.max_side / max(height, width))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        if shrink < 1:
            images = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in images]
        pixels = torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2).float()
        pixels = ((pixels.flip(1) if self._bgr else pixels) - self._mean) / self._deviation
        boxes, classes, points = self._network(pixels)
        scores = classes.softmax(-1)[..., 1]
        anchors = _anchors(size[1], size[0]).to(self._device)
        scale = np.array([width, height])
        return [self._faces(*row, anchors, scale) for row in zip(boxes, scores, points, strict=True)]

    def _faces(self, boxes: Tensor, scores: Tensor, points: Tensor, anchors: Tensor, scale: np.ndarray) -> list[Face]:
        from retinaface.box_utils import decode, decode_landm

        sure = scores > self._min_score
        boxes, scores, points, anchors = boxes[sure], scores[sure], points[sure], anchors[sure]
        corners = decode(boxes, anchors, VARIANCE)
        kept = nms(corners, scores, NMS_IOU)
        corners, points = (
            corners[kept].view(-1, 2, 2),
            decode_landm(points[kept], anchors[kept], VARIANCE).view(-1, 5, 2),
        )
        # Its origin is the corner of the picture; ours is the centre of its first pixel.
        places = (torch.cat((corners, points), 1).cpu().numpy() * scale - 0.5).astype(np.float32)
        faces = [_face(place, float(score)) for place, score in zip(places, scores[kept], strict=True)]
        return sorted(faces, key=lambda face: -box_area(face.box))[: self._max_faces]


def _face(places: np.ndarray, score: float) -> Face:
    """A Face from [7, 2]: two corners of the box, left and right eye, nose, left and right corner of the mouth."""
    mouth = np.full((MOUTH_POINTS, 2), np.nan, np.float32)
    mouth[LEFT_CORNER], mouth[RIGHT_CORNER] = places[5], places[6]
    return Face(box=places[:2].ravel(), score=score, eyes=places[2:4], mouth=mouth)


@lru_cache(maxsize=8)
def _anchors(height: int, width: int) -> Tensor:
    """float32 [N, 4]: centre and size of each anchor, as fractions of the picture; computed in a slow loop."""
    from retinaface.prior_box import priorbox

    return priorbox(MIN_SIZES, STEPS, False, (height, width))  # type: ignore[no-any-return]


class _Network(nn.Module):
    """The package's RetinaFace with a choice of bodies; parameter names are those of the published weights."""

    def __init__(self, body: str) -> None:
        super().__init__()
        try:
            from retinaface.net import FPN, SSH
            from retinaface.network import BboxHead, ClassHead, LandmarkHead
        except ModuleNotFoundError as error:
            raise InputError(
                "the detector retinaface needs the package retinaface-pytorch: pip install avcat[pipeline]"
            ) from error
        channels, out = BODIES[body].channels, BODIES[body].out_channels
        self.body = _resnet_body() if body == "resnet50" else _mobilenet_body()
        self.fpn = FPN(list(channels), out)
        self.ssh1, self.ssh2, self.ssh3 = SSH(out, out), SSH(out, out), SSH(out, out)
        self.ClassHead = nn.ModuleList(ClassHead(out, 2) for _ in STEPS)
        self.BboxHead = nn.ModuleList(BboxHead(out, 2) for _ in STEPS)
        self.LandmarkHead = nn.ModuleList(LandmarkHead(out, 2) for _ in STEPS)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 3, H, W] -> for each of N anchors a box [B, N, 4], class logits [B, N, 2] and points [B, N, 10]."""
        levels = self.fpn(self.body(pixels))
        features = [ssh(level) for ssh, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]

        def heads(each: nn.ModuleList) -> Tensor:
            return torch.cat([head(feature) for head, feature in zip(each, features, strict=True)], 1)

        return heads(self.BboxHead), heads(self.ClassHead), heads(self.LandmarkHead)


def _resnet_body() -> nn.Module:
    return IntermediateLayerGetter(resnet50(weights=None), {"layer2": "1", "layer3": "2", "layer4": "3"})


def _mobilenet_body() -> nn.Module:
    """MobileNet at a quarter of its width, from the package's blocks."""
    from retinaface.net import conv_bn, conv_dw

    def stage(*widths: tuple[int, int, int]) -> list[nn.Module]:
        return [conv_dw(*width) for width in widths]

    stages = {
        "stage1": nn.Sequential(
            conv_bn(3, 8, 2, leaky=0.1), *stage((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        ),
        "stage2": nn.Sequential(*stage((64, 128, 2), *[(128, 128, 1)] * 5)),
        "stage3": nn.Sequential(*stage((128, 256, 2), (256, 256, 1))),
    }
    return IntermediateLayerGetter(nn.Sequential(OrderedDict(stages)), {name: name for name in stages})


def load_weights(where: str, sha256: str) -> dict[str, Any]:
    """The state dict of a file or URL, only if its sha256 starts with the given digits; nothing else is unpickled.

    A URL is fetched once, into torch's cache. Raises InputError.
    """
    path = _fetched(where, sha256) if "://" in where else Path(where)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(sha256):
        raise InputError(f"{path}: its sha256 is {found}, not {sha256}")
    try:
        state = torch.load(_inner(data), map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling foreign bytes can raise anything
        raise InputError(f"{path}: cannot be read as weights") from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: cannot be read as weights")
    return {name.removeprefix("module."): value for name, value in state.items()}


def _fetched(url: str, sha256: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[-1]
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256, progress=False)
        except (OSError, RuntimeError, ValueError) as error:  # no network; another hash
            raise InputError(f"{url}: cannot be fetched ({error})") from error
    return path


def _inner(data: bytes) -> io.BytesIO:
    """Unpacks weights inside another zip; torch's own files are zips too, but contain a data.pkl."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) == 1 and not names[0].endswith("data.pkl"):
                return io.BytesIO(archive.read(names[0]))
    return io.BytesIO(data)
