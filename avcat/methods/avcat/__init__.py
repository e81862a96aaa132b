"""AV-CAT (the paper, figure 2): audio branch E_a, transformer backbone, Refinement Network.

Learns by an adversary, VGG and sync losses and, in small profiles, L1 and edges (equation 10). Redraws the lower half's
mask; sees of a test clip the frames outside it, the first frame and the sound.
"""
