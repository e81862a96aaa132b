"""Faces: found (`landmarks`), followed (`track`), cut out steadily (`align`), masked (`mask`), put back (`paste`)."""
