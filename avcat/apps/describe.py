"""Describes a file in a few facts: a model, a video or a sound."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from avcat.errors import InputError
from avcat.inference import ONNX_SUFFIX
from avcat.media.audio import audio_duration
from avcat.media.container import audio_stream, open_media, video_streams
from avcat.media.video import VideoInfo, probe
from avcat.settings import to_dict


def describe(path: Path) -> dict[str, Any]:
    """Name -> value, in display order. Raises InputError if the file is none of the three."""
    if path.is_file() and zipfile.is_zipfile(path):  # the format of torch.save
        return _model(path, onnx=False)
    if path.is_file() and path.suffix == ONNX_SUFFIX:
        return _model(path, onnx=True)
    try:
        with open_media(path) as container:
            has_video, has_audio = bool(video_streams(container)), audio_stream(container, path) is not None
    except InputError as error:
        if path.is_file() and path.stat().st_size:
            raise InputError(f"{path}: neither a model nor a video nor a sound file") from error
        raise
    if has_video:
        return _video(probe(path))
    if not has_audio:
        raise InputError(f"{path}: holds neither picture nor sound")
    return _sound(path)


def _model(path: Path, *, onnx: bool) -> dict[str, Any]:
    if onnx:  # torch: seconds to import
        from avcat.inference.onnx_network import VERSION
        from avcat.inference.onnx_network import read_onnx_facts as read
    else:
        from avcat.checkpoint import VERSION
        from avcat.checkpoint import read_facts as read

    file = read(path)
    settings = {"inputs": to_dict(file.inputs), "model": file.model}
    kind = f"{file.kind} model{' in ONNX' if onnx else ''}, format {VERSION}"
    return {"kind": kind, **file.facts, **dict(_flat(settings))}


def _flat(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """`a.b.c` and its value, for each value of nested settings; None is shown as none."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", "none" if value is None else value


def _video(info: VideoInfo) -> dict[str, Any]:
    sound = f"{info.audio_codec}, {info.audio_rate} Hz" if info.has_audio else "none"
    return {
        "kind": f"video, {info.codec}",
        "size": f"{info.width} x {info.height}",
        "frames/s": f"{float(info.fps):.3f}",
        "frames": info.frames if info.frames is not None else "not stated",
        "duration": f"{info.duration_s:.3f} s",
        "rotation": f"{info.rotation} degrees",
        "sound": sound,
    }


def _sound(path: Path) -> dict[str, Any]:
    with open_media(path) as container:
        stream = audio_stream(container, path)
        assert stream is not None
        codec = stream.codec_context
        facts = {
            "kind": f"sound, {codec.name}",
            "rate": f"{codec.sample_rate} Hz",
            "channels": codec.layout.nb_channels,
        }
    return {**facts, "duration": f"{audio_duration(path):.3f} s"}
