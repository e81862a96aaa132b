"""The discriminator D: PatchGAN at several scales (Isola et al. 2017, Wang et al. 2018), unconditional."""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from avcat.settings import settings


@settings
class DiscriminatorConfig:
    """Multi-scale patch discriminator (pix2pixHD), unconditional."""

    width: int
    layers: int
    scales: int


class PatchDiscriminator(nn.Sequential):
    """Rates how real each patch looks: `[B, 3, S, S]` -> logits `[B, 1, s, s]`."""

    def __init__(self, *, width: int, layers: int) -> None:
        modules: list[nn.Module] = []
        inputs = 3
        for i in range(layers):
            outputs = min(width * 2**i, 512)
            stride = 2 if i < layers - 1 else 1
            modules += [spectral_norm(nn.Conv2d(inputs, outputs, 4, stride, 1)), nn.LeakyReLU(0.2)]
            inputs = outputs
        super().__init__(*modules, spectral_norm(nn.Conv2d(inputs, 1, 4, 1, 1)))


class Discriminator(nn.Module):
    """Several patch discriminators, each on a picture of half the size of the one before."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(width=config.width, layers=config.layers) for _ in range(config.scales)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        """Logits of every scale."""
        return [maps[-1] for maps in self.maps(image)]

    def maps(self, image: Tensor) -> list[list[Tensor]]:
        """The feature maps of each convolution at every scale, the logits last."""
        found = []
        for i, scale in enumerate(self.scales):
            x, maps = image if i == 0 else F.avg_pool2d(image, 2**i), []
            for layer in cast(PatchDiscriminator, scale):
                x = layer(x)
                if not isinstance(layer, nn.LeakyReLU):
                    maps.append(x)
            found.append(maps)
        return found
