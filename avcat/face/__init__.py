"""Faces: found (`landmarks`), followed (`track`), cut out steadily (`align`), masked (`mask`) and put back (`paste`)."""
