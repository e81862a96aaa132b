"""PC-AVS (Zhou et al. 2021): a face generated from three codes: identity, head pose and mouth.

The mouth code comes from the sound, in one space with that of pictures; the head pose from the frame itself, as 12
numbers. The generator is StyleGAN2's, started from the identity's map. Encoders are plain residual networks of
configurable size; the published identity encoder is a ResNeXt-50.

Learns by an adversary, VGG, feature matching and a contrastive loss; sees of a test clip whole frames, through the
pose's 12 numbers, the first frame and the sound.
"""
