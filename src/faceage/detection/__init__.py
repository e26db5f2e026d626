"""Faces in photographs: found, and brought into the geometry of UTKFace."""
