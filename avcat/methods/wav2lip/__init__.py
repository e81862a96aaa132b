"""Wav2Lip (Prajwal et al. 2020): a face with its lower half hidden, another of the same person, and a sound.

The layers are the paper's, for pictures of any side that halves down to 3 or 4; `width` 16 and a side of 96 make the
published generator. GroupNorm replaces BatchNorm, so that a picture does not depend on the others of its batch, and
the sound is the pipeline's mel window, 20 columns instead of 16.

Learns by L1, a quality discriminator and a sync loss; sees of a test clip upper halves, the first frame and the sound.
"""
