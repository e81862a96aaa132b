"""The adversarial loss (paper, equation 7), in the paper's form and in the hinge form."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Form = Literal["log", "hinge"]


def discriminator_loss(real: list[Tensor], fake: list[Tensor], form: Form) -> Tensor:
    """What D minimises, averaged over patches and scales. Logits in, a scalar out.

    log: -E log D(I) - E log(1 - D(I^p)), equation 7. hinge: E max(0, 1 - D(I)) + E max(0, 1 + D(I^p)).
    """
    if form == "log":
        terms = [F.softplus(-r).mean() + F.softplus(f).mean() for r, f in zip(real, fake, strict=True)]
    else:
        terms = [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake, strict=True)]
    return sum(terms[1:], terms[0]) / len(terms)


def generator_loss(fake: list[Tensor], form: Form) -> Tensor:
    """What G minimises: -E log D(I^p) (the non-saturating form), or -E D(I^p) for hinge."""
    terms = [F.softplus(-f).mean() if form == "log" else -f.mean() for f in fake]
    return sum(terms[1:], terms[0]) / len(terms)


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]]) -> Tensor:
    """Feature matching: mean L1 between the discriminator's feature maps of both pictures (Wang et al. 2018).

    Takes `Discriminator.maps`; the last maps, the logits, do not count. No gradient flows to the real ones.
    """
    terms = [
        F.l1_loss(f.float(), r.detach().float())
        for of_real, of_fake in zip(real, fake, strict=True)
        for r, f in zip(of_real[:-1], of_fake[:-1], strict=True)
    ]
    return sum(terms[1:], terms[0]) / len(terms)
