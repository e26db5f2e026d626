"""From bytes to aligned faces: decoding, detection, and the geometry of UTKFace."""
