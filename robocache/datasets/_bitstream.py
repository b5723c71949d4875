"""Packets of a container in the form that a hardware decoder takes them in."""

START = b"\0\0\0\1"
SEQUENCE_HEADER, TEMPORAL_DELIMITER = 1, 2  # types of AV1's units


class Rewriter:
    """Brings packets of H.264 and AV1 into a form that needs nothing of the container. Raises ValueError.

    Parameters
    ----------
    codec : str
        Packets of others than ``"h264"`` and ``"av1"`` stay as they are.
    extradata : bytes
        Of the container: ``avcC``, ``av1C``, or nothing.
    """

    def __init__(self, codec: str, extradata: bytes) -> None:
        self.header, self.length, self._av1 = b"", 0, codec == "av1"
        if codec == "h264" and extradata[:1] == b"\1":
            self.length, self.header = _avcc(extradata)
        elif self._av1 and extradata[:1] == b"\x81":
            self.header = extradata[4:]

    def packet(self, data: bytes, begins: bool) -> bytes:
        """A packet; ``begins`` says that decoding starts at it, so that it must bring the headers."""
        if self.length:
            data = annexb(data, self.length)
        if not begins or (self._av1 and _has_header(data)):
            return data
        return self.header + data


def annexb(data: bytes, width: int) -> bytes:
    """Units with lengths of so many bytes before them, as units with start codes before them."""
    parts, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + width], "big")
        at += width
        if size > len(data) - at:
            raise ValueError("a packet is damaged: a unit is longer than it")
        parts += [START, data[at : at + size]]
        at += size
    return b"".join(parts)


def _avcc(extradata: bytes) -> tuple[int, bytes]:
    """Bytes of a length, and the parameter sets with start codes."""
    parts, at = [], 5
    for mask in (31, 255):  # sequence, then picture
        if at >= len(extradata):
            raise ValueError("its avcC is cut off")
        count, at = extradata[at] & mask, at + 1
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            if at + 2 + size > len(extradata):
                raise ValueError("its avcC is cut off")
            parts += [START, extradata[at + 2 : at + 2 + size]]
            at += 2 + size
    return (extradata[4] & 3) + 1, b"".join(parts)


def _has_header(data: bytes) -> bool:
    """Whether a sequence header comes first, perhaps after a delimiter."""
    at = 2 if data and data[0] >> 3 & 15 == TEMPORAL_DELIMITER else 0
    return len(data) > at and data[at] >> 3 & 15 == SEQUENCE_HEADER


__all__ = ["Rewriter", "annexb"]
