"""Numbers that a person would give a picture: brightness, contrast, left-right symmetry, area of the outline."""

from __future__ import annotations

import numpy as np

__all__ = ["LOOKS", "looks"]

LOOKS = ("brightness", "contrast", "symmetry", "outline")
INSIDE = 32  # of 255: gray levels from here on count as inside the outline
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def looks(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """uint8 [N, C, H, W] -> one number a picture for each of LOOKS, [N].

    brightness  mean gray level, contrast  standard deviation of the gray levels, both of 255
    symmetry    correlation of the picture with its mirror image, left to right
    outline     share of the pixels that are not nearly black
    """
    found: dict[str, list[float]] = {name: [] for name in LOOKS}
    for picture in pictures:
        gray = np.tensordot(LUMA, picture, axes=1) if len(picture) == 3 else picture[0].astype(np.float32)
        centred = gray - gray.mean()
        power = float((centred**2).sum())
        found["brightness"].append(float(gray.mean()))
        found["contrast"].append(float(gray.std()))
        # A picture of one gray level is its own mirror image.
        found["symmetry"].append(float((centred * centred[:, ::-1]).sum()) / power if power else 1.0)
        found["outline"].append(float((gray >= INSIDE).mean()))
    return {name: np.array(values) for name, values in found.items()}
