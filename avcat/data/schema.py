"""The tables that the stages hand to each other."""

import pyarrow as pa

FPS = 25  # frames per second of the grid that everything is on (paper, section 4)
MOUTH_POINTS = 20

MANIFEST = pa.schema(
    [
        ("clip_id", pa.string()),  # 16 hex digits from corpus and relative path: unique, safe as a file name
        ("corpus", pa.string()),
        ("path", pa.string()),  # relative to the corpus's root, with forward slashes
        ("root", pa.string()),  # the corpus's root as named in params
        ("speaker", pa.string()),
        ("split", pa.string()),  # train, val, test
        ("start_s", pa.float64()),  # the time range of the file that this clip is
        ("end_s", pa.float64()),
        ("duration_s", pa.float64()),
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("audio_rate", pa.int32()),
        ("sha256", pa.string()),
        ("shard", pa.int32()),  # assigned here, by content, not by who finishes first
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
        ("split", pa.string()),
        ("status", pa.string()),  # ok, rejected, failed
        ("reason", pa.string()),  # empty where ok
        ("frames", pa.int32()),
        ("found", pa.int32()),
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
