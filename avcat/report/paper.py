"""The figures that the paper prints, shown beside ours and kept apart from them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's Table 1 on one of its two sets."""

    method: str
    ssim: float
    psnr: float
    lmd: float
    sync_confidence: float


PRINTED_DECIMALS = {"ssim": 3, "psnr": 2, "lmd": 2, "sync_confidence": 1}

TABLE1 = {
    "LRW": (
        PaperRow("Wav2Lip", 0.937, 34.25, 2.54, 6.7),
        PaperRow("MakeItTalk", 0.690, 31.09, 5.03, 3.1),
        PaperRow("PC-AVS", 0.895, 33.87, 3.04, 6.2),
        PaperRow("Ground truth", 1.000, 100.00, 0.00, 6.5),
        PaperRow("AV-CAT", 0.938, 36.34, 2.83, 6.0),
    ),
    "VoxCeleb": (
        PaperRow("Wav2Lip", 0.885, 32.34, 8.44, 5.2),
        PaperRow("MakeItTalk", 0.814, 29.51, 29.13, 2.3),
        PaperRow("PC-AVS", 0.865, 32.67, 8.91, 5.4),
        PaperRow("Ground truth", 1.000, 100.00, 0.00, 5.4),
        PaperRow("AV-CAT", 0.889, 33.41, 8.64, 5.1),
    ),
}


@dataclass(frozen=True)
class PaperOpinion:
    """A row (in the paper a column) of Table 2: mean opinion scores, 1 to 5."""

    method: str
    sync: float
    quality: float
    realness: float


# Of 15 participants and 40 videos, 20 of VoxCeleb and 20 of LRW
TABLE2 = (
    PaperOpinion("PC-AVS", 3.54, 3.94, 3.56),
    PaperOpinion("Wav2Lip", 3.68, 3.85, 3.48),
    PaperOpinion("MakeItTalk", 2.52, 2.95, 3.37),
    PaperOpinion("AV-CAT", 3.82, 4.30, 4.18),
)

# Table 3, on VoxCeleb; by the name that the row has in params.yaml
TABLE3 = {
    "rn-only": PaperRow("RN only", 0.812, 30.61, 10.68, 3.9),
    "without-rn": PaperRow("w/o RN", 0.748, 29.31, 10.16, 4.9),
    "wav2lip_l-rn": PaperRow("Wav2Lip-L + RN", 0.874, 32.29, 8.72, 4.8),
    "without-sync": PaperRow("w/o Sync", 0.868, 32.93, 9.34, 4.7),
    "full": PaperRow("Full Model", 0.889, 33.41, 8.64, 5.1),
}

# Our corpus -> the paper's set that it stands for or is.
COUNTERPART = {"synth-words": "LRW", "synth-wild": "VoxCeleb", "lrw": "LRW", "voxceleb": "VoxCeleb"}
