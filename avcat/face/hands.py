"""Hands in pictures, by MediaPipe's hand model, which is part of its wheel."""

from typing import Any

import cv2
import numpy as np

from avcat.face.landmarks import without_chatter

_MAX_SIDE = 640  # larger pictures are shrunk first: hands in front of a face are large
_MAX_HANDS = 4


class HandFinder:
    """Finds hands in the pictures of clips, one clip at a time; CPU."""

    def __init__(self, min_score: float = 0.5) -> None:
        with without_chatter():
            from mediapipe.python.solutions.hands import Hands  # slow to import

            self._hands: Any = Hands(
                max_num_hands=_MAX_HANDS,
                model_complexity=0,
                min_detection_confidence=min_score,
                min_tracking_confidence=min_score,
            )
            self._hands.process(np.zeros((64, 64, 3), np.uint8))  # starts its threads, which print log lines
        self._settled = False  # they print again after the first hand

    def forget(self) -> None:
        """To be called before another clip: else hands of the last one would be tracked into it."""
        with without_chatter():
            self._hands.reset()
            self._hands.process(np.zeros((64, 64, 3), np.uint8))
        self._settled = False

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The joints of each hand, float32 [21, 2] in pixels, in uint8 [height, width, 3] RGB."""
        height, width = image.shape[:2]
        shrink = min(1.0, _MAX_SIDE / max(height, width))
        if shrink < 1:
            small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        if self._settled:
            found = self._hands.process(np.ascontiguousarray(image))
        else:
            with without_chatter():
                found = self._hands.process(np.ascontiguousarray(image))
        hands = found.multi_hand_landmarks or []
        self._settled |= bool(hands)
        size = np.array([width, height])
        joints = [np.array([(p.x, p.y) for p in hand.landmark]) * size - 0.5 for hand in hands]
        return [points.astype(np.float32) for points in joints]
