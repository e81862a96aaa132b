"""The detector named in the settings."""

from typing import Literal

from avcat.face.landmarks import FaceDetector, MediaPipeDetector
from avcat.settings import Count, Fraction, settings


@settings
class RetinaFaceConfig:
    """The network of the detector `retinaface`."""

    body: Literal["resnet50", "mobilenet0.25"]
    weights: str  # file or URL
    sha256: str  # of that file, or its first digits
    max_side: int  # in pixels; larger pictures are shrunk to it
    batch_frames: Count


@settings
class DetectorConfig:
    """The face detector."""

    kind: Literal["mediapipe", "retinaface"]
    max_faces: Count  # the largest in each picture
    min_score: Fraction  # detections below are discarded
    retinaface: RetinaFaceConfig


def build_detector(config: DetectorConfig, device: str = "cpu") -> FaceDetector:
    """Raises InputError if weights are missing or do not fit. MediaPipe's works only on the CPU."""
    if config.kind == "mediapipe":
        return MediaPipeDetector(config.max_faces, config.min_score)
    from avcat.face.retinaface import RetinaFaceDetector  # torch; not needed for MediaPipe

    return RetinaFaceDetector(config.retinaface, max_faces=config.max_faces, min_score=config.min_score, device=device)
