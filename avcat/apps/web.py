"""`avcat web`: a page to dub videos. Made with Gradio, only for this machine by default.

Nothing leaves the machine: no analytics, no tunnel, no fonts or scripts from elsewhere; the server serves only files
that a visitor uploaded or received. They are in one temporary folder, and are deleted after an hour or when the server
ends.
"""

import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from avcat.apps.credentials import Credentials, signing
from avcat.dubbing import Dubber, DubSettings
from avcat.dubbing.portrait import Which
from avcat.errors import InputError
from avcat.face.landmarks import FaceDetector, MediaPipeDetector
from avcat.media.audio import audio_duration
from avcat.media.video import decode, probe

if TYPE_CHECKING:
    import gradio as gr

NOTICE = (
    "**Dub people only with their consent, and say that a clip is synthetic when you show it.** "
    "Nothing that you upload leaves the machine this page comes from."
)
LARGEST, EVERYBODY = "Largest face", "Everybody"
FORGET_S = 3600  # age at which files of visitors are removed
_SWEEP_S = 60  # interval of that check
_WAITING = 8  # jobs; more are refused
_LOOKED_AT_S, _STEP_S = 4.0, 0.5  # faces are looked for up to this time in a video, in these steps
_MAX_FACES = 4
_PICTURE_SIDE = 960
_INK, _OUTLINE = (255, 255, 255), (20, 20, 20)

# Gradio's page uses inline scripts and styles, and shows its files as blobs.
_POLICY = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"

# For the whole page. Trimming a video in the browser would load a program from the web, so its button is hidden.
_STYLE = """
.gradio-container { max-width: 1100px !important; margin: 0 auto !important; }
footer { display: none !important; }
#video button[aria-label="Trim video to selection"] { display: none !important; }
#notice { border-left: 4px solid var(--color-accent); padding: 0.5rem 0.9rem;
  background: var(--background-fill-secondary); }
"""


@dataclass(frozen=True)
class Limits:
    """Limits of one job."""

    seconds: float  # of the video and of the sound
    megabytes: int  # of a file


class Studio:
    """The functions behind the page."""

    def __init__(
        self, dubber: Dubber, detector: FaceDetector, limits: Limits, credentials: Credentials | None = None
    ) -> None:
        self._dubber, self._detector, self._limits, self._credentials = dubber, detector, limits, credentials

    def faces(self, video: Path) -> tuple[np.ndarray, int]:
        """The frame of the first seconds that shows most faces, uint8 [h, w, 3], numbered from the left; their number.

        Raises InputError if the video cannot be used.
        """
        self._check_length("video", probe(video).duration_s)
        best: tuple[np.ndarray, list[np.ndarray]] | None = None
        due_s = 0.0
        for frame in decode(video, end_s=_LOOKED_AT_S):
            if frame.time_s < due_s:
                continue
            due_s = frame.time_s + _STEP_S
            boxes = [face.box for face in next(iter(self._detector.follow([frame.image])))]
            if best is None or len(boxes) > len(best[1]):
                best = frame.image, boxes
        if best is None:
            raise InputError("the video has no picture")
        return numbered_faces(*best), len(best[1])

    def dub(self, video: Path, sound: Path, which: Which, out: Path, progress: Any) -> str:
        """Writes `out` and returns a summary. Errors as `Dubber.dub`, and for inputs over the limits."""
        self._check_length("video", probe(video).duration_s)
        self._check_length("sound", audio_duration(sound))
        with signing(out, self._credentials) as part:
            summary = self._dubber.dub(video, sound, part, DubSettings(faces=which), progress=progress)
        return " ".join((f"{summary.line}.", *(f"Note: {warning}." for warning in summary.warnings)))

    def _check_length(self, what: str, seconds: float) -> None:
        if seconds > self._limits.seconds:
            raise InputError(f"the {what} lasts {seconds:.1f} s; at most {self._limits.seconds:g} s are accepted here")


def numbered_faces(image: np.ndarray, boxes: Sequence[np.ndarray]) -> np.ndarray:
    """A copy, at most 960 px on its longer side, with a frame and a number on each box, counted from the left."""
    scale = min(1.0, _PICTURE_SIDE / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    thick = max(1, max(size) // 300)
    for number, box in enumerate(sorted(boxes, key=lambda box: float(box[0] + box[2])), 1):
        x0, y0, x1, y1 = np.rint(box * scale).astype(int).tolist()
        height = (y1 - y0) / 4  # of the digits
        font = (cv2.FONT_HERSHEY_DUPLEX, max(0.5, height / 22))
        (wide, high), _ = cv2.getTextSize(str(number), *font, 2 * thick)
        # On top of the frame, or inside it at the picture's edge.
        above = y0 - 4 * thick
        bottom = above if above > high + 2 * thick else y0 + high + 4 * thick
        at = (int(np.clip(x0, 3 * thick, max(3 * thick, size[0] - wide))), int(np.clip(bottom, high, size[1])))
        for colour, width in ((_OUTLINE, 3 * thick), (_INK, thick)):  # readable on any face
            cv2.rectangle(picture, (x0, y0), (x1, y1), colour, width, cv2.LINE_AA)
        for colour, width in ((_OUTLINE, 5 * thick), (_INK, 2 * thick)):
            cv2.putText(picture, str(number), at, *font, colour, width, cv2.LINE_AA)
    return picture


def which_face(choice: str) -> Which:
    """A choice of the page as a value for `DubSettings`."""
    if choice == EVERYBODY:
        return "all"
    return "largest" if choice == LARGEST else int(choice.removeprefix("Face "))


def page(studio: Studio, limits: Limits) -> "gr.Blocks":
    """The page. `private_folder` must be active."""
    gr = _gradio()

    def look(video: str | None) -> tuple[Any, Any]:
        if video is None:
            return gr.update(value=None, visible=False), gr.update(choices=[LARGEST], value=LARGEST)
        with _told(gr):
            picture, count = studio.faces(Path(video))
        if not count:
            gr.Warning(f"No face in the first {_LOOKED_AT_S:.0f} seconds of the video.")
        choices = [LARGEST, *(f"Face {n}" for n in range(1, count + 1) if count > 1), *[EVERYBODY][: count > 1]]
        return gr.update(value=picture, visible=True), gr.update(choices=choices, value=LARGEST)

    def work(
        video: str | None,
        sound: str | None,
        face: str,
        agreed: bool,
        progress: Any = gr.Progress(),  # noqa: B008
    ) -> Iterator[tuple[Any, Any, Any, str]]:
        if not agreed:
            raise gr.Error(
                "Please confirm that the people shown and heard agree.", duration=None, print_exception=False
            )
        if video is None or sound is None:
            raise gr.Error(
                f"Please give a {'video' if video is None else 'sound'} first.", duration=None, print_exception=False
            )

        def tell(what: str, done: int, total: int) -> None:
            progress((done, total), desc=what.capitalize(), unit="frames")

        with tempfile.TemporaryDirectory(dir=tempfile.gettempdir()) as folder, _told(gr):
            out = Path(folder, "dubbed.mp4")
            said = studio.dub(Path(video), Path(sound), which_face(face), out, tell)
            # Gradio copies the file while this waits.
            yield video, str(out), gr.update(value=str(out), interactive=True), said

    with gr.Blocks(title="AV-CAT", analytics_enabled=False, delete_cache=(_SWEEP_S, FORGET_S)) as blocks:
        gr.Markdown("# AV-CAT\nMakes the face in a video say another sound.")
        gr.Markdown(NOTICE, elem_id="notice")
        video, shown, face, sound = _inputs(gr, limits)
        agreed = gr.Checkbox(label="The people shown and heard agree to this.", elem_id="agreed")
        start = gr.Button("Dub", variant="primary", elem_id="start")
        with gr.Row():
            before = gr.Video(label="Before", interactive=False, buttons=[], height=300, elem_id="before")
            after = gr.Video(label="After", interactive=False, buttons=[], height=300, elem_id="after")
        said = gr.Markdown(elem_id="said")
        download = gr.DownloadButton("Download", interactive=False, elem_id="download")
        one_at_a_time: dict[str, Any] = {
            "concurrency_limit": 1,
            "concurrency_id": "studio",
            "api_visibility": "private",
        }
        video.change(look, video, [shown, face], show_progress="hidden", **one_at_a_time)
        start.click(work, [video, sound, face, agreed], [before, after, download, said], **one_at_a_time)
    return blocks.queue(max_size=_WAITING, default_concurrency_limit=1)


def _inputs(gr: Any, limits: Limits) -> tuple[Any, Any, Any, Any]:
    """A visitor's inputs, side by side: the video, the faces seen in it, the chosen face, the sound."""
    with gr.Row():
        with gr.Column():
            video = gr.Video(
                label=f"Video, up to {limits.seconds:.0f} s and {limits.megabytes} MB",
                sources=["upload", "webcam"],
                include_audio=True,
                buttons=[],
                height=330,  # including the row of sources
                elem_id="video",
            )
            shown = gr.Image(label="Faces", interactive=False, visible=False, buttons=[], height=220, elem_id="faces")
            face = gr.Radio([LARGEST], value=LARGEST, label="Whose mouth", elem_id="face")
        with gr.Column():
            sound = gr.Audio(
                label=f"Speech, up to {limits.seconds:.0f} s",
                sources=["upload", "microphone"],
                type="filepath",
                buttons=[],
                elem_id="sound",
            )
    return video, shown, face, sound


def start(blocks: "gr.Blocks", host: str, port: int, limits: Limits) -> str:
    """Serves the page from its own threads and returns its address. Raises InputError if it cannot listen."""
    gr = _gradio()
    from starlette.middleware import Middleware

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Gradio's, of its own dependencies
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                inbrowser=False,
                prevent_thread_lock=True,
                quiet=True,
                show_error=False,
                ssr_mode=False,
                mcp_server=False,
                run_history=False,
                pwa=False,
                enable_monitoring=False,
                footer_links=[],
                allowed_paths=[],
                max_file_size=limits.megabytes * 2**20,
                theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                css=_STYLE,
                app_kwargs={"middleware": [Middleware(_OwnOnly)]},
            )
    except OSError as error:
        raise InputError(f"--port {port}: cannot be listened on at {host} ({str(error).splitlines()[0]})") from error
    return str(address)


def serve(
    model: Path, *, host: str, port: int, limits: Limits, device: str, credentials: Credentials | None = None
) -> None:
    """Serves the page until interrupted. Raises InputError if the model or the address cannot be used."""
    with private_folder():
        _gradio()  # checks that it is installed, before the model is read
        dubber = Dubber.from_checkpoint(model, device)
        blocks = page(Studio(dubber, MediaPipeDetector(max_faces=_MAX_FACES), limits, credentials), limits)
        try:
            print(f"Serving {start(blocks, host, port, limits)} until Ctrl-C", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            print("ended; the files of its visitors are removed")
        finally:
            blocks.close(verbose=False)


class _OwnOnly:
    """Forbids browsers to load anything from elsewhere, as parts of Gradio's page would."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY)]
            await send(message)

        await self._app(scope, receive, answer)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder for all files of visitors, deleted at the end. Gradio sees only our settings."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("GRADIO_")}
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="avcat-web-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"GRADIO_TEMP_DIR": str(Path(folder, "files")), "GRADIO_ANALYTICS_ENABLED": "False"}
        # Intermediate files of Gradio and of ours are there too.
        Path(folder, "between").mkdir()
        tempfile.tempdir = str(Path(folder, "between"))
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before
            for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
                del os.environ[name]
            os.environ |= kept


@contextmanager
def _told(gr: Any) -> Iterator[None]:
    """Shows errors that a visitor can fix, without the paths of files on the server."""
    try:
        yield
    except InputError as error:
        private = Path(os.environ["GRADIO_TEMP_DIR"]).parent
        text = re.sub(rf"{re.escape(str(private))}\S*/", "", str(error))
        raise gr.Error(text, print_exception=False) from error


def _gradio() -> Any:
    assert "GRADIO_TEMP_DIR" in os.environ  # see `private_folder`
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dependencies, while they are imported
            import gradio
    except ImportError as error:
        raise InputError(
            f"avcat web needs packages that are not installed ({error}): pip install 'avcat[web]'"
        ) from None
    return gradio
