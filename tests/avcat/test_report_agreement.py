"""Our order against the paper's: every possible verdict, from differences made by hand."""

import math

from avcat.metrics.paired import Difference
from avcat.report.agreement import OPPOSITE, SAME, UNTESTED, WITHIN, agreement_table
from avcat.report.paired import Compared


def difference(method: str, figure: str, mean: float, p: float, n: int = 8, corpus: str = "synth-wild") -> Compared:
    return Compared(corpus, method, figure, Difference(mean, mean, mean, n, n, p), p, "" if n else "no judge")


def verdicts(*found: Compared) -> dict[str, list[str]]:
    """SSIM, PSNR, LMD, Sync_conf by either judge; if the latter was not measured, the reason."""
    there = {(each.method, each.figure) for each in found}
    no_one = [
        difference(method, "lse_c", math.nan, math.nan, n=0, corpus=found[0].corpus)
        for method in dict.fromkeys(each.method for each in found)
        if (method, "lse_c") not in there
    ]
    return {
        row.cells[0].text: [cell.note or cell.text for cell in row.cells[1:]]
        for _, rows in agreement_table([*found, *no_one]).groups
        for row in rows
    }


def test_sides_are_compared_with_table_3() -> None:
    """The paper's w/o Sync: SSIM, PSNR and Sync_conf below the full model, LMD above."""
    assert verdicts(
        difference("without-sync", "ssim", -0.01, 0.001),
        difference("without-sync", "psnr_uint8_legacy", 0.5, 0.001),
        difference("without-sync", "lmd", 0.2, 0.2),
        difference("without-sync", "sync_confidence", math.nan, math.nan, n=0),
    ) == {"w/o Sync": [SAME, OPPOSITE, WITHIN, "no judge", "no judge"]}


def test_systems_are_compared_with_the_set_that_a_corpus_stands_for() -> None:
    """PC-AVS has a higher Sync_conf than AV-CAT on both; Wav2Lip's LMD is lower on both."""
    found = [
        difference("pc_avs", name, 1.0, 0.01, corpus="synth-words")
        for name in ("ssim", "psnr_uint8_legacy", "lmd", "sync_confidence", "lse_c")
    ]
    assert verdicts(*found) == {"PC-AVS": [OPPOSITE, OPPOSITE, SAME, SAME, SAME]}
    found = [
        difference("wav2lip", name, -1.0, 0.01, corpus="lrw")
        for name in ("ssim", "psnr_uint8_legacy", "lmd", "sync_confidence")
    ]
    assert verdicts(*found) == {"Wav2Lip": [SAME, SAME, SAME, OPPOSITE, "no judge"]}


def test_what_the_paper_does_not_print_has_no_row() -> None:
    assert verdicts(difference("copy-reference", "ssim", -1.0, 0.01), difference("ground-truth", "ssim", 1, 0.01)) == {}
    assert agreement_table([]).groups == []


def test_too_few_speakers_are_no_verdict() -> None:
    found = [
        difference("rn-only", name, -1.0, math.nan) for name in ("ssim", "psnr_uint8_legacy", "lmd", "sync_confidence")
    ]
    assert verdicts(*found) == {"RN only": [UNTESTED] * 4 + ["no judge"]}
