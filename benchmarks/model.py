"""How fast AV-CAT redraws frames, against plain fp32 and the machine: `python -m benchmarks.model`.

The reference is encoded once, as in dubbing; what is timed is a batch of frames. Prints frames per second, the share of
the best matrix product, and how close the pictures are to those of plain fp32 (PSNR over the redrawn region).
"""

import argparse
import math

import torch
from torch import Tensor

from avcat.checkpoint import load_model
from avcat.methods.avcat.model import AVCAT
from avcat.methods.generator import Reference
from avcat.training.threads import Threads
from benchmarks.compute import best_s, ceiling, describe, operations
from stages._params import load

PEAK = 2.0  # of pictures in -1..1


def main() -> None:
    """Measures each way in turn, and prints a line for it as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="paper", help="a file of profiles/ (%(default)s)")
    parser.add_argument("--model", help="a trained model instead of the profile's, untrained")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--frames", type=int, default=32, help="in a batch (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="also bf16 compiled, where compiling pays")
    options = parser.parse_args()
    Threads()
    torch.manual_seed(0)
    network = load_model(options.model, AVCAT)[0] if options.model else AVCAT(load(options.profile).train.model)
    network = network.eval().to(options.device, memory_format=torch.channels_last)
    size = network.config.image_size
    inputs = (
        torch.rand(options.frames, 3, size, size, device=options.device) * 2 - 1,
        torch.rand(1, 3, size, size, device=options.device) * 2 - 1,
        torch.rand(options.frames, 80, 20, device=options.device),
    )
    print(describe(options.device))
    print(f"{options.model or options.profile}: {options.frames} frames of {size} px per batch")
    expected: Tensor | None = None
    plain = 0.0
    for name, dtype, compiled in (
        ("fp32", torch.float32, False),
        ("bf16", torch.bfloat16, False),
        ("bf16 compiled", torch.bfloat16, True),
    ):
        if compiled and not options.compile:
            continue
        if compiled:
            network.compile()
        picture, seconds, flops = measure(network, inputs, dtype, options.device)
        expected = picture if expected is None else expected
        plain = plain or seconds
        top = ceiling(options.device, dtype)
        print(
            f"{name:<14} {options.frames / seconds:8.1f} frames/s  x {plain / seconds:.2f}  "
            f"{flops / seconds / 1e12:.3f} of {top / 1e12:.3f} TFLOP/s = {flops / seconds / top:.2f}  "
            f"PSNR to fp32 {psnr(picture, expected, network):.1f} dB",
            flush=True,
        )


@torch.inference_mode()
def measure(
    network: AVCAT, inputs: tuple[Tensor, Tensor, Tensor], dtype: torch.dtype, device: str
) -> tuple[Tensor, float, int]:
    """The pictures, the seconds and the operations of a batch."""
    frames, reference, mels = inputs
    frames = frames.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device, dtype, enabled=dtype != torch.float32):
        known: Reference = network.encode_reference(reference)

        def redraw() -> Tensor:
            return network(frames, known, mels).prediction

        picture = network.composite(frames, redraw()).float()
        return picture, best_s(redraw, device), operations(redraw)


def psnr(picture: Tensor, expected: Tensor, network: AVCAT) -> float:
    """dB over the redrawn region of pictures in -1..1, clipped as they are shown."""
    redrawn = (network.mask == 0).expand_as(picture)
    error = (picture.clamp(-1, 1) - expected.clamp(-1, 1))[redrawn].square().mean().item()
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


if __name__ == "__main__":
    main()
