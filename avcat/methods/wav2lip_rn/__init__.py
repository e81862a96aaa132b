"""Wav2Lip-L + RN (paper, table 3): Wav2Lip in the place of AV-CAT's backbone, and the Refinement Network after it.

Learns as AV-CAT does, and sees what it sees.
"""
