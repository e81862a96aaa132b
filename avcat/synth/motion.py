"""Head movement during speech: pose, blinks, gaze and brows over time, independent of the words."""

from dataclasses import dataclass

import numpy as np

BLINK_S = (0.07, 0.05, 0.13)  # closing, closed, opening


@dataclass(frozen=True)
class Movement:
    """Liveliness of a clip: greatest displacement from rest of each part. Angles in radians."""

    shift: float  # of the distance between the eyes
    roll: float
    zoom: float
    yaw: float
    pitch: float
    brow: float
    gaze: float


WORDS = Movement(shift=0.03, roll=0.02, zoom=0.01, yaw=0.04, pitch=0.03, brow=0.015, gaze=0.01)
WILD = Movement(shift=0.35, roll=0.13, zoom=0.06, yaw=0.36, pitch=0.20, brow=0.06, gaze=0.05)


@dataclass(frozen=True)
class Pose:
    """One frame's pose. `shift` in units of the distance between the eyes, angles in radians, `lids` 0..1 (open)."""

    shift: tuple[float, float]
    roll: float
    zoom: float
    yaw: float
    pitch: float
    lids: float
    gaze: tuple[float, float]
    brow: float


def poses(random: np.random.Generator, movement: Movement, times_s: np.ndarray) -> list[Pose]:
    """The pose at each time [n] in seconds."""

    def swing(size: float) -> np.ndarray:
        return size * _wander(random, times_s)

    sx, sy, roll, zoom, yaw, pitch = (
        swing(size)
        for size in (movement.shift, 0.5 * movement.shift, movement.roll, movement.zoom, movement.yaw, movement.pitch)
    )
    gaze_x, gaze_y, brow = swing(movement.gaze), swing(0.5 * movement.gaze), swing(movement.brow)
    # The gaze stays on the camera: eyes turn against the head.
    gaze_x, gaze_y = gaze_x - 0.10 * np.sin(yaw), gaze_y - 0.08 * np.sin(pitch)
    lids = _lids(random, times_s)
    return [
        Pose((sx[i], sy[i]), roll[i], 1 + zoom[i], yaw[i], pitch[i], lids[i], (gaze_x[i], gaze_y[i]), max(0.0, brow[i]))
        for i in range(len(times_s))
    ]


def _wander(random: np.random.Generator, times_s: np.ndarray) -> np.ndarray:
    """A smooth curve in -1..1: a resting place and three slow sines."""
    frequency = random.uniform((0.08, 0.2, 0.4), (0.2, 0.4, 0.8))
    phase = random.uniform(0, 2 * np.pi, 3)
    size = np.array([0.40, 0.22, 0.08])
    rest = 0.30 * random.uniform(-1, 1)
    return rest + np.sin(2 * np.pi * frequency * np.asarray(times_s)[:, None] + phase) @ size


def _lids(random: np.random.Generator, times_s: np.ndarray) -> np.ndarray:
    """1 with a dip to 0 for each blink, every three seconds or so."""
    lids = np.ones(len(times_s))
    closing, closed, opening = BLINK_S
    start = random.uniform(0.2, 3.5)
    while len(times_s) and start < times_s[-1]:
        since = np.asarray(times_s) - start
        curve = np.interp(since, [0, closing, closing + closed, closing + closed + opening], [1, 0, 0, 1])
        lids = np.minimum(lids, curve)
        start += random.uniform(1.6, 4.5)
    return lids
