"""YUV to RGB in fixed point, its weights from the standard."""

import numpy as np


def rgb(luma, chroma, matrix, full):
    """uint8 (height, width, 3) of luma (height, width) and chroma (height / 2, width / 2, 2).

    ``matrix`` is the pair of weights of red and blue in luma, after H.273; the rest follows from them. Weights have 13
    bits of fraction, numbers 3, and products are cut to whole levels each on its own.
    """
    red, blue = matrix
    green = 1 - red - blue
    light, colour = (1, 1) if full else (255 / 219, 255 / 224)
    weights = {
        "red": 2 * (1 - red) * colour,
        "blue": 2 * (1 - blue) * colour,
        "green_u": -2 * blue * (1 - blue) / green * colour,
        "green_v": -2 * red * (1 - red) / green * colour,
    }
    whole = {name: round(value * 2**13) for name, value in weights.items()}
    y = (np.asarray(luma, np.int64) * 8 - (0 if full else 128)) * int(light * 2**16 / 8 + 0.5) >> 16
    u, v = (np.repeat(np.repeat(np.asarray(chroma[..., k], np.int64) * 8 - 1024, 2, 0), 2, 1) for k in (0, 1))
    parts = (
        y + (v * whole["red"] >> 16),
        y + (u * whole["green_u"] >> 16) + (v * whole["green_v"] >> 16),
        y + (u * whole["blue"] >> 16),
    )
    return np.clip(np.stack(parts, -1), 0, 255).astype(np.uint8)
