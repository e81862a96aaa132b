"""Media files: `video` reads pictures, `audio` sound, `mel` makes the networks' audio input, `writer` writes both."""
