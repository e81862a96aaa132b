"""A reference serves several frames of a batch."""

from torch import Tensor


def repeated(reference: Tensor, batch: int) -> Tensor:
    """`[R, ...]` -> `[batch, ...]`: entry r serves the batch / R entries from there on. R divides `batch`.

    Take the batch from a tensor's `shape`, not by `len`, which ONNX export would freeze.
    """
    references = reference.shape[0]
    return reference if references == batch else reference.repeat_interleave(batch // references, 0)
