"""A rendered person in front of a camera: from mouth shape and pose to a picture and its ground truth."""

from dataclasses import dataclass

import cv2
import numpy as np

from avcat.synth.body import paint_body
from avcat.synth.eyes import EyePainter
from avcat.synth.head import paint_head
from avcat.synth.identity import Identity
from avcat.synth.lips import Lips, pose_lips
from avcat.synth.motion import Pose
from avcat.synth.mouth import MouthPainter
from avcat.synth.paint import blend, shown_through, stack
from avcat.synth.relief import EYES, Light
from avcat.synth.scene import Camera, turn
from avcat.synth.skin import SkinMover
from avcat.synth.visemes import TONGUE

DETAIL = 1.2  # pixels of the painted head per pixel of the video


@dataclass(frozen=True)
class Landmarks:
    """Positions in the picture, in pixels: `eyes` float32 [2, 2], left then right, midway between the corners of each;
    `mouth` float32 [20, 2], dlib's 48..67; `opening` the inner-lip gap over the distance between the eyes."""

    eyes: np.ndarray
    mouth: np.ndarray
    opening: float


class Speaker:
    """One identity, lit and painted once, then drawn frame by frame."""

    def __init__(self, identity: Identity, light: Light, camera: Camera) -> None:
        scale = DETAIL * camera.eye_distance_px
        self._identity, self._camera = identity, camera
        self._head = paint_head(identity, light, scale)
        self._through = shown_through(self._head.front)
        self._mover = SkinMover(identity, self._head)
        self._eyes = EyePainter(identity, self._head)
        self._mouth = MouthPainter(identity, self._head)
        self._body_grid, self._body = paint_body(identity, light, camera.eye_distance_px)

    def draw(self, background: np.ndarray, shape: np.ndarray, pose: Pose) -> tuple[np.ndarray, Landmarks]:
        """Draws one frame.

        background: uint8 [H, W, 3] RGB of the camera's size.
        shape: float [6], a row of `MouthTrack.at`.
        Returns the picture, like `background`, and its ground truth.
        """
        lips = pose_lips(self._identity, shape)
        face = self._face(lips, shape, pose)
        picture = blend(background, self._see_body(pose))
        picture = blend(picture, self._see_head(face, pose))
        points = self._project(np.concatenate([np.array(EYES), lips.points()]), pose)
        eyes, mouth = points[:2], points[2:]
        opening = np.linalg.norm(mouth[18] - mouth[14]) / np.linalg.norm(eyes[1] - eyes[0])
        return picture, Landmarks(eyes, mouth, float(opening))

    def _face(self, lips: Lips, shape: np.ndarray, pose: Pose) -> np.ndarray:
        canvas = self._head.skin.copy()
        self._mover.move(canvas, lips, pose.brow)
        self._eyes.paint(canvas, pose.lids, pose.gaze)
        self._mouth.paint(canvas, lips, float(shape[TONGUE]))
        if self._eyes.glasses is not None:
            canvas = stack(canvas, self._eyes.glasses, shown_through(self._eyes.glasses))
        return stack(canvas, self._head.front, self._through)

    def _see_head(self, face: np.ndarray, pose: Pose) -> np.ndarray:
        """The head's layer in the camera's pixels."""
        camera, grid = self._camera, self._head.grid
        back = cv2.invertAffineTransform(camera.matrix(pose)) * grid.scale
        back = np.asarray(
            back - [[0, 0, grid.left * grid.scale], [0, 0, grid.top * grid.scale]], np.float32
        )  # from pixels of the video to pixels of the head
        columns = np.arange(camera.width, dtype=np.float32)[None]
        rows = np.arange(camera.height, dtype=np.float32)[:, None]
        map_x = back[0, 0] * columns + (back[0, 1] * rows + back[0, 2])
        map_y = back[1, 0] * columns + (back[1, 1] * rows + back[1, 2])
        size, flags = (camera.width, camera.height), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        turning = cv2.warpAffine(self._head.turning, back, size, flags=flags)
        x, y = turn(pose) * grid.scale
        map_x -= np.float32(x) * turning
        map_y -= np.float32(y) * turning
        return cv2.remap(face, map_x, map_y, cv2.INTER_LINEAR)

    def _see_body(self, pose: Pose) -> np.ndarray:
        camera, grid = self._camera, self._body_grid
        matrix = camera.body_matrix(pose)
        to_units = np.array([[1 / grid.scale, 0, grid.left], [0, 1 / grid.scale, grid.top], [0, 0, 1]])
        return cv2.warpAffine(self._body, matrix @ to_units, (camera.width, camera.height), flags=cv2.INTER_LINEAR)

    def _project(self, points: np.ndarray, pose: Pose) -> np.ndarray:
        """Points [n, 2] on the head, in units, to the picture, float32 [n, 2].

        `_see_head` shows at q the head's pixel at q - turn * depth(q); q is found by fixed-point iteration.
        """
        grid, moved = self._head.grid, points.astype(np.float64)
        for _ in range(8):
            at = grid.pixels(moved).astype(np.float32)[None]
            depth = cv2.remap(self._head.turning, at[..., 0], at[..., 1], cv2.INTER_LINEAR)[0]
            moved = points + depth[:, None] * turn(pose)
        matrix = self._camera.matrix(pose)
        return (moved @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
