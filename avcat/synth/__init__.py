"""Rendered speakers: people who do not exist, saying what eSpeak NG says, with everything about them known."""
