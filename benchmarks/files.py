"""`python -m benchmarks.files`: 300 small files of every kind by a fixed seed, and what is read from them.

Frames carry their number, sounds a click at every half second. Each file's frames, their times and its clicks are
compared with what was put in: right, warned (the rest right), refused (one line), silently wrong, or a traceback.
"""

import argparse
import random
import struct
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from avcat.errors import InputError
from avcat.media.audio import mono_blocks
from avcat.media.container import Notes
from avcat.media.video import decode, probe

SECONDS, SIDE, RATE = 2.0, 96, 16_000
CLICK_S, CLICK_EVERY_S = 0.02, 0.5
LATE_S = 0.02  # of a click: frames of lossy codecs, and Matroska's milliseconds
CUT_S = 0.5  # how much earlier than stated a file may end, as `avcat dub` has it

KINDS = {  # container: suffix, codecs of picture, codecs of sound
    "mp4": ("mp4", ("libx264", "libx265", "mpeg4"), ("aac", "libmp3lame", "alac", "ac3", "flac")),
    "mov": ("mov", ("libx264", "mjpeg", "mpeg4"), ("aac", "pcm_s16le", "alac")),
    "matroska": ("mkv", ("libx264", "libx265", "libvpx-vp9", "mjpeg", "ffv1"), ("aac", "libopus", "flac", "pcm_s24le")),
    "webm": ("webm", ("libvpx", "libvpx-vp9"), ("libopus",)),
    "avi": ("avi", ("mpeg4", "libx264", "mjpeg"), ("pcm_s16le", "ac3")),
    "mpegts": ("ts", ("libx264", "mpeg2video"), ("aac", "mp2", "ac3")),
    "mpeg": ("mpg", ("mpeg1video", "mpeg2video"), ("mp2",)),
    "flv": ("flv", ("libx264",), ("aac", "libmp3lame")),
    "asf": ("wmv", ("wmv2",), ("mp2",)),
}
FPS = (Fraction(12), Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(30), Fraction(50))
WITH_B = ("libx264", "libx265", "mpeg4", "mpeg2video", "mpeg1video")
RATES = {"libopus": (48_000,), "libmp3lame": (44_100, 48_000), "ac3": (44_100, 48_000), "mp2": (44_100, 48_000)}
UNPRIMED, PRIMING = (
    ("flv", "mpegts", "avi", "mpeg"),
    1105,
)  # cannot state an encoder's priming, in samples, which is heard
ENDLESS = ("mpegts", "mpeg", "asf")  # do not state their length; WMV not without its index, which comes last
DAMAGE = ("none",) * 5 + ("zero packet", "garbage", "cut off")


@dataclass(frozen=True)
class Case:
    """One file."""

    container: str
    video: str
    audio: str
    fps: Fraction
    b_frames: int
    rate: int
    channels: int
    rotation: int = 0
    start_s: float = 0.0  # of all stamps
    late_s: float = 0.0  # of the sound
    skipped: int = 0  # frames that an edit list leaves out at the start
    damage: str = "none"

    @property
    def frames(self) -> int:
        return round(SECONDS * self.fps)


def cases(count: int, seed: int) -> Iterator[Case]:
    """Random ones, each container as often as any other."""
    rng = random.Random(seed)
    for number in range(count):
        container = list(KINDS)[number % len(KINDS)]
        _, videos, audios = KINDS[container]
        video, audio = rng.choice(videos), rng.choice(audios)
        fps = rng.choice(FPS if container != "mpeg" and "mpeg2" not in video else FPS[1:])
        case = Case(
            container,
            video,
            audio,
            fps,
            rng.choice((0, 2)) if video in WITH_B else 0,
            rng.choice(RATES.get(audio, (22_050, 44_100, 48_000))),
            rng.choice((1, 2)),
            damage=rng.choice(DAMAGE),
        )
        if container in ("mp4", "mov"):
            case = replace(case, rotation=rng.choice((0, 0, 90, 180, 270)), skipped=rng.choice((0, 0, 0, 5)))
        if container in ("matroska", "mpegts"):
            case = replace(case, start_s=rng.choice((0.0, 5.0)))
        if container in ("mp4", "matroska", "mpegts"):
            case = replace(case, late_s=rng.choice((0.0, 0.3)))
        yield replace(case, late_s=0.0) if case.skipped else case


def picture(number: int, rotation: int) -> np.ndarray:
    """Blocks, black or white, are the bits of a number, with noise; stored so that it is upright once it is turned."""
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for bit in range(8):
        y, x = divmod(bit, 4)
        image[y * SIDE // 2 : (y + 1) * SIDE // 2, x * SIDE // 4 : (x + 1) * SIDE // 4] = 255 * (number >> bit & 1)
    noise = np.random.default_rng(number).integers(0, 40, image.shape)
    image = np.abs(image.astype(int) - noise).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(image, -rotation // 90))


def number_of(image: np.ndarray) -> int:
    """The inverse of `picture`."""
    at = [(SIDE // 4 + SIDE // 2 * (bit // 4), SIDE // 8 + SIDE // 4 * (bit % 4)) for bit in range(8)]
    return sum(bool(image[y - 4 : y + 4, x - 4 : x + 4].mean() > 127) << bit for bit, (y, x) in enumerate(at))


def clicks(case: Case) -> np.ndarray:
    """float32 [channels, n]: bursts of 1 kHz."""
    at = np.arange(round(SECONDS * case.rate)) / case.rate
    burst = np.sin(2 * np.pi * 1000 * at) * (at % CLICK_EVERY_S < CLICK_S) * 0.5
    return np.tile(burst.astype(np.float32), (case.channels, 1))


def make(case: Case, folder: Path) -> Path:
    """Writes a case's file, damaged as it says."""
    path = folder / f"a.{KINDS[case.container][0]}"
    with av.open(str(path), "w", format=case.container) as out:
        options = {"bf": str(case.b_frames), "g": "12"} if case.video in WITH_B else {}
        if case.video == "libx265":
            options = {"x265-params": f"log-level=none:bframes={case.b_frames}:keyint=12"}
        video = out.add_stream(case.video, rate=case.fps, options=options)
        video.width = video.height = SIDE
        video.bit_rate = 8_000_000  # program streams do not say when pictures smaller than a pack are shown
        video.pix_fmt = "yuvj420p" if case.video == "mjpeg" else "yuv420p"
        audio = out.add_stream(case.audio, rate=case.rate, layout="mono" if case.channels == 1 else "stereo")
        audio.codec_context.open(strict=False)
        packets = [*_pictures(case, video), *_sounds(case, audio)]
        packets.sort(
            key=lambda packet: float((packet.dts if packet.dts is not None else packet.pts) * packet.time_base)
        )
        for packet in packets:
            shift = round(case.start_s / packet.time_base)
            late = round(case.late_s / packet.time_base) if packet.stream is audio else 0
            packet.pts = packet.pts + shift + late
            packet.dts = None if packet.dts is None else packet.dts + shift + late
            out.mux(packet)
    data = bytearray(path.read_bytes())
    if case.rotation:
        data = turned(data, case.rotation)
    if case.skipped:
        data = skipping(data, case.skipped, case.fps)
    path.write_bytes(data)
    return damaged(path, case.damage)


def _pictures(case: Case, stream: av.VideoStream) -> Iterator[av.Packet]:
    for n in range(case.frames):
        frame = av.VideoFrame.from_ndarray(picture(n, case.rotation), format="rgb24").reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = n, 1 / case.fps
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sounds(case: Case, stream: av.AudioStream) -> Iterator[av.Packet]:
    wanted = stream.codec_context.format.name
    samples = clicks(case)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=stream.layout.name)
    frame.sample_rate, frame.pts, frame.time_base = case.rate, 0, Fraction(1, case.rate)
    resampler = av.AudioResampler(format=wanted, layout=stream.layout.name, rate=case.rate)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        yield from stream.encode(part)
    yield from stream.encode(None)


def turned(data: bytearray, rotation: int) -> bytearray:
    """The matrix in the first track's header, which says how the picture is turned for display."""
    one = 1 << 16
    a, b, c, d = {90: (0, -one, one, 0), 180: (-one, 0, 0, -one), 270: (0, one, -one, 0)}[rotation]
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 20] = struct.pack(">5i", a, b, 0, c, d)
    return data


def skipping(data: bytearray, frames: int, fps: Fraction) -> bytearray:
    """The first track's edit list begins some frames later."""
    scale = struct.unpack(">I", data[(at := data.index(b"mdhd")) + 16 : at + 20])[0]
    at = data.index(b"elst") + 12
    length, start = struct.unpack(">Ii", data[at : at + 8])
    movie = struct.unpack(">I", data[(mvhd := data.index(b"mvhd")) + 16 : mvhd + 20])[0]
    data[at : at + 8] = struct.pack(">Ii", length - round(frames / fps * movie), start + round(frames / fps * scale))
    return data


def damaged(path: Path, how: str) -> Path:
    data = bytearray(path.read_bytes())
    if how == "cut off":
        del data[len(data) * 7 // 10 :]
    elif how != "none":
        with av.open(str(path)) as container:
            coded = [s for s in container.streams if not s.codec_context.name.startswith("pcm")]  # any bytes are PCM
            packets = [
                packet for packet in container.demux(coded) if packet.size > 16 and packet.pos and packet.pos > 0
            ]
        packet = packets[len(packets) // 2]
        span = slice(packet.pos + 8, packet.pos + packet.size)
        size = span.stop - span.start
        data[span] = bytes(size) if how == "zero packet" else np.random.default_rng(size).bytes(size)
    path.write_bytes(data)
    return path


def judge(case: Case, path: Path) -> tuple[str, str]:
    """One of the outcomes, and why."""
    notes = Notes(path)
    try:
        info = probe(path)
        frames = [(number_of(frame.image), frame.time_s) for frame in decode(path, notes=notes)]
        samples = np.concatenate([np.zeros(0, np.float32), *mono_blocks(path, RATE, notes=notes)])
    except InputError as error:
        return "refused", str(error).removeprefix(f"{path}: ")
    except Exception:
        return "traceback", traceback.format_exc(limit=-2)
    ended_s = frames[-1][1] + float(1 / case.fps) if frames else 0.0
    warned = bool(notes.lines) or info.duration_s - ended_s > CUT_S or bool(frames and frames[0][1] > 0.1)
    wrong = [*_wrong_frames(case, frames, warned), *_wrong_clicks(case, samples, warned)]
    if wrong and not (warned and case.damage != "none"):
        return "silently wrong", "; ".join(wrong)
    return ("warned" if warned else "right"), "; ".join(notes.lines)


def _wrong_frames(case: Case, frames: list[tuple[int, float]], warned: bool) -> Iterator[str]:
    first = min((time_s for _, time_s in frames), default=0.0)
    wanted = {n: (n - case.skipped) / case.fps for n in range(case.skipped, case.frames)}
    for number, time_s in frames:
        if number not in wanted or abs(float(wanted[number]) - (time_s - (first if first < 0.1 else 0))) > 0.012:
            yield f"frame {number} at {time_s:.3f} s"
            return
    if len({number for number, _ in frames}) < len(wanted) and not warned and not _is_shorter(case):
        yield f"{len(frames)} of {len(wanted)} frames"


def _wrong_clicks(case: Case, samples: np.ndarray, warned: bool) -> Iterator[str]:
    loud = np.flatnonzero(np.abs(samples) > 0.1)
    onsets = loud[np.diff(loud, prepend=-RATE) > RATE // 10]
    late_s = LATE_S + (PRIMING / case.rate if case.container in UNPRIMED else 0)
    wanted = np.arange(0, SECONDS, CLICK_EVERY_S)
    found = onsets / RATE - case.late_s
    for at_s in found:
        if np.abs(wanted - at_s).min() > late_s:
            yield f"a click at {at_s:.3f} s"
            return
    if len(found) < len(wanted) and not warned and not _is_shorter(case):
        yield f"{len(found)} of {len(wanted)} clicks"


def _is_shorter(case: Case) -> bool:
    """Whether a file is another, shorter one, since its container does not state how long it was."""
    return case.damage == "cut off" and case.container in ENDLESS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    totals: Counter[str] = Counter()
    rows: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(cases(arguments.files, arguments.seed)):
            try:
                path = make(case, Path(name))
            except (av.error.FFmpegError, ValueError) as error:
                totals["not made"] += 1
                reasons[f"not made: {error}"] += 1
                continue
            end, why = judge(case, path)
            totals[end] += 1
            rows.setdefault(f"{case.container}, {case.damage}", Counter())[end] += 1
            if end in ("silently wrong", "traceback"):
                print(f"{number}: {end}: {case}\n    {why}")
            elif end == "refused":
                reasons[f"refused: {why[:80]}"] += 1
    ends = ("right", "warned", "refused", "silently wrong", "traceback")
    print(f"\n| container, damage | {' | '.join(ends)} |\n|---|{'---|' * len(ends)}")
    for row, counts in sorted(rows.items()):
        print(f"| {row} | {' | '.join(str(counts[end] or '') for end in ends)} |")
    print(f"\n{arguments.files} files: {', '.join(f'{count} {end}' for end, count in totals.most_common())}")
    for reason, count in reasons.most_common(12):
        print(f"  {count} x {reason}")


if __name__ == "__main__":
    main()
