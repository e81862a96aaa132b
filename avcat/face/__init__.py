"""Faces: detection (`landmarks`), tracking (`track`), alignment (`align`), masks (`mask`), compositing (`paste`)."""
