"""How fast speakers are rendered on one core: `python benchmarks/render.py [clips]`.

Counts processor time, not the clock, so that other work on the machine does not show.
"""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2

from avcat.synth.corpus import WILD, WORDS, ClipSpec, CorpusConfig, SpeakersConfig, plan, render, take_of

SIZE = 256


def specs_of(corpus: str, count: int) -> list[ClipSpec]:
    """The first clips of a corpus, all of one size, each of another person."""
    people = SpeakersConfig(train=count, val=0, test=0, clips_per_speaker=1)
    config = CorpusConfig(seed=0, size=SIZE, words=people, wild=people, wild_seconds=(3.0, 4.0))
    return [replace(spec, width=SIZE, height=SIZE) for spec in plan(config) if spec.corpus == corpus]


def processor_s() -> float:
    """Processor seconds of this process and of its finished children, which synthesise speech."""
    return sum(os.times()[:4])


def main() -> None:
    """Prints frames per second for only drawing and for whole clips, setup, speech, encoding and truth included."""
    cv2.setNumThreads(1)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    for corpus in (WORDS, WILD):
        specs = specs_of(corpus, count)
        frames = sum(spec.frames for spec in specs)
        takes = [take_of(spec) for spec in specs]
        start = processor_s()
        drawn = sum(1 for take in takes for _ in take.pictures())
        drawing = processor_s() - start
        assert drawn == frames
        with tempfile.TemporaryDirectory() as folder:
            start = processor_s()
            for spec in specs:
                render(spec, Path(folder))
            whole = processor_s() - start
        print(f"{corpus} at {SIZE} px: {frames / drawing:.0f} frames/s drawn, {frames / whole:.0f} frames/s as files")


if __name__ == "__main__":
    main()
