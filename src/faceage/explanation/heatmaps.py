"""A saliency map drawn over its face."""

import numpy as np
from matplotlib import colormaps

from faceage.core.images import LUMA

# Made to be told apart under the common colour vision deficiencies, and in grey.
COLORS = colormaps["viridis"]
SHARE = 0.55  # of the colour in the picture; the rest is the face in grey


def over(face: np.ndarray, attribution: np.ndarray) -> np.ndarray:
    """The face in grey, coloured by its map: uint8 (side, side, 3).

    Parameters
    ----------
    face : uint8 (side, side, 3)
    attribution : its strength, 0 to 255 where it is largest (side, side)
    """
    color = 255 * COLORS(attribution / 255)[..., :3]
    grey = (face @ LUMA)[..., None]
    return (SHARE * color + (1 - SHARE) * grey).round().astype(np.uint8)
