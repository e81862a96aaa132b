"""Small video files for the tests of this folder."""

from pathlib import Path

import av
import numpy as np


def write_video(path: Path, frames: int, *, sound: bool, loudness: float = 0.1) -> None:
    """A grey video of 64 x 64 at 25 fps, with a tone as long as it for sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        voice = file.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for _ in range(frames):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")))
        file.mux(video.encode(None))
        if voice is not None:
            tone = loudness * np.sin(np.arange(frames * 640) * 0.2, dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            file.mux(voice.encode(frame))
            file.mux(voice.encode(None))
