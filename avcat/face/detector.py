"""The detector named in the settings."""

from avcat.config import DetectorConfig
from avcat.face.landmarks import FaceDetector, MediaPipeDetector


def build_detector(config: DetectorConfig, device: str = "cpu") -> FaceDetector:
    """Raises InputError if weights are missing or do not fit. MediaPipe's works only on the CPU."""
    if config.kind == "mediapipe":
        return MediaPipeDetector(config.max_faces, config.min_score)
    from avcat.face.retinaface import RetinaFaceDetector  # torch; not needed for MediaPipe

    return RetinaFaceDetector(config.retinaface, max_faces=config.max_faces, min_score=config.min_score, device=device)
