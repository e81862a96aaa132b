"""Media files: `video` reads pictures, `audio` sound, `mel` turns it into what networks hear, `writer` writes both."""
