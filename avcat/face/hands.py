"""Hands in pictures, by MediaPipe's hand model, which is part of its wheel."""

from typing import Any

from avcat.face.landmarks import Solution

_MAX_SIDE = 640  # larger pictures are shrunk first: hands in front of a face are large
_MAX_HANDS = 4


class HandFinder(Solution):
    """Finds the 21 joints of each hand in the pictures of clips."""

    def __init__(self) -> None:
        super().__init__(_hands, "multi_hand_landmarks", _MAX_SIDE)


def _hands() -> Any:
    from mediapipe.python.solutions.hands import Hands  # slow to import

    return Hands(max_num_hands=_MAX_HANDS, model_complexity=0)
