"""MakeItTalk (Zhou et al. 2020): the sound moves landmarks, and a portrait follows the landmarks.

Two networks in one file. The first has the paper's two branches: content (an LSTM, then a perceptron that also
takes the landmarks at rest) and speaker (an LSTM and an embedding through a small transformer); both give
displacements. The published branches take AutoVC's content and speaker codes, which need another network's weights;
here both take E_a's, and the speaker is their mean over the clip. Landmarks are those of our tracks: the mouth's 20
points and the eyes; the crop holds heads still. The second network is a residual U-Net on the portrait and the
drawn landmarks.

Learns by landmarks and their shape, then by L1, VGG and style; sees of a test clip the first frame and the sound.
"""
