"""From the colour of a video to the weights by which its surfaces become RGB."""

# 2**16 times what v adds to red and u to blue, and what u and v take from green, by the matrix of the stream (H.273).
# They are FFmpeg's, so that frames from the GPU are those of PyAV's rgb24 to the bit. Unspecified is taken as BT.601.
BT601 = (104597, 132201, 25675, 53279)
MATRICES = {
    1: (117489, 138438, 13975, 34925),  # BT.709
    2: BT601,
    5: BT601,
    6: BT601,
    7: (117579, 136230, 16907, 35559),  # SMPTE 240M
    9: (110013, 140363, 12277, 42626),  # BT.2020
}
FULL = 2  # of av.VideoFrame.color_range: levels from 0 to 255, not from 16 to 235


def weights(matrix: int, full: bool) -> tuple[int, ...]:
    """Offset and scale of luma, and what v adds to red, u and v to green, u to blue: for numbers of 13 bits' fraction.

    A level is ``(x * 8 - offset) * weight >> 16``, with 1024 as the offset of chroma.
    """
    red, blue, green_u, green_v = MATRICES[matrix]
    scale, offset = (65536, 0) if full else (65536 * 255 // 219, 16 * 8)
    if full:
        red, blue, green_u, green_v = (x * 224 // 255 for x in (red, blue, green_u, green_v))
    rounded = ((x * 8192 + 32768) >> 16 for x in (scale, red, -green_u, -green_v, blue))
    return (offset, *rounded)


__all__ = ["FULL", "MATRICES", "weights"]
