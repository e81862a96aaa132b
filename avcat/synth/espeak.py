"""eSpeak NG by ctypes: a program that speaks one utterance in its own process and ends.

eSpeak keeps state from one utterance to the next, so the same text gives different samples on a second call. A process
that speaks once has no such state. `avcat.synth.speech` starts this file by its path with `python -S -E`: it imports
only the standard library and takes 30 ms, interpreter included.

Standard input: one JSON object with `library`, `data`, `language`, `text`, `rate_wpm`, `pitch`, `pitch_range`.
Standard output: one line of JSON (`sample_rate`, `bytes`, `marks`: `[name, start_s]` in order), then `bytes`
bytes of 16-bit little-endian samples. Exit code 1 and a line on standard error if eSpeak refuses.
"""

import ctypes
import json
import sys
from typing import Any

PHONEME_EVENTS = 0x0001  # espeakINITIALIZE_PHONEME_EVENTS
SYNCHRONOUS_CALLBACK = 2  # AUDIO_OUTPUT_SYNCHRONOUS
EVENT_END_OF_LIST = 0
EVENT_PHONEME = 7
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER
CHARACTER_POSITION = 1
UTF8 = 1
BUFFER_MS = 200


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms since the start of the utterance
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Refused(RuntimeError):
    """eSpeak does not know the voice, or could not start."""


def synthesise(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Speaks `request` (see the top of the file) and returns the JSON of the answer and the samples."""
    library = ctypes.CDLL(request["library"])
    sample_rate = library.espeak_Initialize(SYNCHRONOUS_CALLBACK, BUFFER_MS, request["data"].encode(), PHONEME_EVENTS)
    if sample_rate <= 0:
        raise Refused("eSpeak NG could not start")
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else the flutter of a voice is seeded by the clock
    pieces: list[bytes] = []
    marks: list[tuple[str, float]] = []

    def collect(samples: Any, count: int, events: Any) -> int:
        if samples and count:
            pieces.append(ctypes.string_at(samples, 2 * count))
        index = 0
        while events[index].type != EVENT_END_OF_LIST:
            event = events[index]
            if event.type == EVENT_PHONEME:
                marks.append((event.id.string.decode("utf-8", "replace"), event.audio_position / 1000))
            index += 1
        return 0

    callback = _CALLBACK(collect)  # kept until the call returns: eSpeak holds a bare pointer to it
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["language"].encode()) != 0:
        raise Refused(f"eSpeak NG has no voice {request['language']!r}")
    for parameter, key in ((RATE, "rate_wpm"), (PITCH, "pitch"), (RANGE, "pitch_range")):
        library.espeak_SetParameter(parameter, int(request[key]), 0)
    text = request["text"].encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, CHARACTER_POSITION, 0, UTF8, None, None)
    library.espeak_Synchronize()
    sound = b"".join(pieces)
    return {"sample_rate": sample_rate, "bytes": len(sound), "marks": marks}, sound


def main() -> int:
    """Answers the one request on standard input."""
    try:
        head, sound = synthesise(json.load(sys.stdin))
    except (Refused, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n" + sound)
    return 0


if __name__ == "__main__":
    sys.exit(main())
