"""Drawn faces and small media files with known content."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from avcat.face.align import AlignConfig
from avcat.media.mel import MelConfig
from avcat.media.writer import VideoWriter

MEL = MelConfig(sample_rate=16_000, fft_size=1280, hop_size=160, bands=80, low_hz=125.0, high_hz=7600.0, rms=0.1)
ALIGN = AlignConfig(left_eye=(0.37, 0.31), right_eye=(0.63, 0.31), position_sigma_s=0.025, scale_sigma_s=0.5)
PAINT = np.array([20, 220, 40], np.uint8)  # no face has this colour


def face_picture(
    width: int = 320,
    height: int = 320,
    centre: tuple[float, float] = (160, 160),
    face: float = 100.0,
    opening: float = 0.2,
) -> np.ndarray:
    """uint8 RGB of one plain face, `face` pixels wide, that Face Mesh finds; `opening` is in widths of the face."""
    fine = 2
    picture = np.full((height * fine, width * fine, 3), (110, 130, 150), np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return round((centre[0] + x * face) * fine), round((centre[1] + y * face) * fine)

    def size(x: float, y: float) -> tuple[int, int]:
        return max(1, round(x * face * fine)), max(1, round(y * face * fine))

    def ellipse(x: float, y: float, a: float, b: float, colour: tuple[int, int, int]) -> None:
        cv2.ellipse(picture, at(x, y), size(a, b), 0, 0, 360, colour, -1, cv2.LINE_AA)

    ellipse(0, -0.16, 0.58, 0.68, (60, 40, 30))
    cv2.rectangle(picture, at(-0.18, 0.4), at(0.18, 0.95), (205, 160, 135), -1)
    ellipse(0, 0, 0.5, 0.66, (225, 180, 155))
    for side in (-1, 1):
        ellipse(side * 0.21, -0.12, 0.105, 0.055, (250, 250, 250))
        ellipse(side * 0.21, -0.12, 0.048, 0.05, (70, 50, 40))
        ellipse(side * 0.21, -0.26, 0.12, 0.022, (60, 40, 30))
        ellipse(side * 0.06, 0.13, 0.03, 0.018, (170, 115, 95))
    cv2.line(picture, at(-0.02, -0.08), at(-0.04, 0.1), (200, 150, 125), 2 * fine, cv2.LINE_AA)
    ellipse(0, 0.33, 0.2, 0.05 + opening / 2, (180, 80, 80))
    ellipse(0, 0.33, 0.15, max(opening / 2, 0.004), (70, 20, 25))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def talking(frames: int, **options: float) -> Iterator[np.ndarray]:
    """A face whose mouth opens and closes and whose head sways."""
    for t in range(frames):
        sway = 6 * np.sin(t / 6)
        yield face_picture(centre=(160 + sway, 160), opening=0.1 + 0.1 * np.sin(t / 2), **options)  # type: ignore[arg-type]


def write_video(path: Path, images: Iterator[np.ndarray], pts: list[int] | None = None, **options: object) -> Path:
    """H.264 with negligible loss; `pts` in ticks of `time_base` make the frame rate uneven."""
    first = next(images)
    height, width = first.shape[:2]
    options = {"preset": "ultrafast", "crf": 4, **options}
    with VideoWriter(path, width, height, **options) as writer:  # type: ignore[arg-type]
        for n, image in enumerate([first, *images]):
            if pts is None:
                writer.write(image)
            else:
                writer.write(image, pts[n], pts[n + 1] - pts[n])
    return path


def numbered(frames: int, side: int = 64) -> Iterator[np.ndarray]:
    """Pictures that encode their number: eight blocks, black or white, are its bits."""
    for number in range(frames):
        picture = np.zeros((side, side, 3), np.uint8)
        for bit in range(8):
            y, x = divmod(bit, 4)
            picture[y * side // 2 : (y + 1) * side // 2, x * side // 4 : (x + 1) * side // 4] = 255 * (
                number >> bit & 1
            )
        yield picture


def number_of(picture: np.ndarray) -> int:
    """Reads back what `numbered` wrote."""
    side = picture.shape[0]
    centres = [
        picture[(y * 2 + 1) * side // 4, (x * 2 + 1) * side // 8].mean() > 127 for y in range(2) for x in range(4)
    ]
    return sum(bool(on) << bit for bit, on in enumerate(centres))


def tone(seconds: float, rate: int = 16_000, hertz: float = 440.0) -> np.ndarray:
    """float32 [n], a sine at a third of full scale."""
    return (np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate) / 3).astype(np.float32)


TICKS_90K = Fraction(1, 90_000)
