"""The detector that the settings name."""

from avcat.config import DetectorConfig
from avcat.face.landmarks import FaceDetector, MediaPipeDetector


def build_detector(config: DetectorConfig, device: str = "cpu") -> FaceDetector:
    """Raises InputError where weights are missing or do not fit. MediaPipe's works on the CPU alone."""
    if config.kind == "mediapipe":
        return MediaPipeDetector(config.max_faces, config.min_score)
    from avcat.face.retinaface import RetinaFaceDetector  # torch; whoever stays with MediaPipe does without

    return RetinaFaceDetector(config.retinaface, max_faces=config.max_faces, min_score=config.min_score, device=device)
