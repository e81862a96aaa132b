"""Rendered speakers: synthetic people who speak with eSpeak NG's voice, with full ground truth."""
