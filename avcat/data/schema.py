"""The tables that the stages hand to each other."""

import pyarrow as pa

FPS = 25  # frames per second of the common time grid (paper, section 4)
MOUTH_POINTS = 20
WINDOW_FRAMES = 5  # consecutive frames of a SyncNet window, and of the sound window that a frame is drawn from (3.4, 4)
MEL_BANDS = 80  # of the networks' input mels (paper, section 4)

_MEDIA = [
    ("duration_s", pa.float64()),
    ("fps", pa.float64()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("audio_rate", pa.int32()),
    ("sha256", pa.string()),
]

MANIFEST = pa.schema(
    [
        ("clip_id", pa.string()),  # 16 hex digits from corpus and relative path: unique, safe as a file name
        ("corpus", pa.string()),
        ("path", pa.string()),  # relative to the corpus's root, with forward slashes
        ("root", pa.string()),  # the corpus's root as named in params
        ("speaker", pa.string()),
        ("split", pa.string()),  # train, val, test
        ("start_s", pa.float64()),  # the clip's time range in the file
        ("end_s", pa.float64()),
        *_MEDIA,
        ("shard", pa.int32()),  # assigned here, by content, not by the order of completion
    ]
)

PROBES = pa.schema(
    [
        ("root", pa.string()),
        ("path", pa.string()),
        ("size", pa.int64()),  # bytes; with mtime_ns it shows whether the file has changed
        ("mtime_ns", pa.int64()),
        ("status", pa.string()),  # ok, rejected, failed
        ("reason", pa.string()),
        *_MEDIA,
        ("cuts_s", pa.list_(pa.float64())),  # where shots begin, except the first; searched only in long videos
    ]
)

TRACKS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("frame", pa.int32()),  # on the 25 fps grid
        ("pts_s", pa.float64()),  # of the source frame that was taken for it
        ("found", pa.bool_()),  # False: interpolated between neighbours
        ("score", pa.float32()),
        ("box", pa.list_(pa.float32(), 4)),  # x0, y0, x1, y1 in source pixels
        ("eyes", pa.list_(pa.float32(), 4)),  # left x, y, right x, y
        ("mouth", pa.list_(pa.float32(), 2 * MOUTH_POINTS)),
    ]
)

OUTCOME = pa.schema(
    [
        ("clip_id", pa.string()),
        ("corpus", pa.string()),
        ("path", pa.string()),  # of the file, as in the manifest
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),  # 0 if the file never became clips
        ("split", pa.string()),
        ("stage", pa.string()),  # the last one that processed it
        ("status", pa.string()),  # ok, rejected, failed
        ("reason", pa.string()),  # empty if ok
        ("frames", pa.int32()),
        ("found", pa.int32()),
    ]
)

OFFSETS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("split", pa.string()),
        ("offset", pa.int32()),  # frames by which the sound leads
        ("confidence", pa.float32()),
        ("windows", pa.int32()),  # compared; with few, the offset is unreliable
        ("move", pa.int32()),  # frames by which training moves the sound to the right
        ("reason", pa.string()),  # why training leaves the clip out; empty if it does not
    ]
)

SHARD_INDEX = pa.schema(
    [
        ("clip_id", pa.string()),
        ("corpus", pa.string()),
        ("speaker", pa.string()),
        ("frames", pa.int32()),
        ("meta", pa.struct([("offset", pa.int64()), ("size", pa.int64())])),  # where each member's bytes lie in the tar
        ("mel", pa.struct([("offset", pa.int64()), ("size", pa.int64())])),
        ("landmarks", pa.struct([("offset", pa.int64()), ("size", pa.int64())])),
        ("jpeg_offsets", pa.list_(pa.int64())),
        ("jpeg_sizes", pa.list_(pa.int64())),
    ]
)
