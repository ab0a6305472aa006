"""Run-length codes of a region, as labelling tools read them: Label Studio's brush and CVAT's masks.

Shapes: H,W the photograph's own pixels.
"""

import numpy as np

WORD, LENGTHS = 8, (3, 4, 8, 16)
"""Bits of a value in Label Studio's code, and of the four kinds of run lengths that it may choose from."""


def label_studio(region: np.ndarray) -> list[int]:
    """Label Studio's brush code, bytes, of a region (H,W) bool.

    It is thi.ng's rle-pack of the flattened RGBA image (H,W,4), 255 in the region: 32 bits for the number of values, 5
    for the bits of a value, 4 for each kind of run length (each less one), and then runs: a set bit, two bits for the
    kind, the length less one, the value. label_studio_sdk.converter.brush decodes it.
    """
    lengths, values = _runs(region.ravel())
    most = 1 << LENGTHS[-1]
    pieces = -(-4 * lengths // most)  # a run that is too long is several
    value = 255 * np.repeat(values, pieces).astype(np.uint64)
    length = np.full(len(value), most, np.uint64)
    length[pieces.cumsum() - 1] = 4 * lengths - (pieces - 1) * most
    kind = np.searchsorted(1 << np.array(LENGTHS), length)
    bits = 3 + np.array(LENGTHS)[kind] + WORD
    code = (np.uint64(4) | kind.astype(np.uint64)) << np.array(LENGTHS, np.uint64)[kind]
    code = ((code | (length - np.uint64(1))) << np.uint64(WORD)) | value
    header = [(4 * region.size, 32), (WORD - 1, 5), *((length - 1, 4) for length in LENGTHS)]
    head = np.array([int(bit) for number, width in header for bit in f"{number:0{width}b}"], np.uint8)
    left = (code << (32 - bits).astype(np.uint64)).astype(">u4")  # the longest run has 27 bits
    spread = np.unpackbits(left.view(np.uint8).reshape(-1, 4), axis=1)
    body = spread[np.arange(32) < bits[:, None]]
    packed: list[int] = np.packbits(np.concatenate([head, body])).tolist()
    return packed


def cvat(region: np.ndarray) -> tuple[str, tuple[int, int, int, int]]:
    """CVAT's code of a region (H,W) bool that has a pixel, and the box (left, top, width, height) it is in.

    Lengths of runs in the box, row by row, of pixels outside and inside by turns, outside first.
    """
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    top, left = int(rows[0]), int(columns[0])
    box = region[top : rows[-1] + 1, left : columns[-1] + 1]
    lengths, values = _runs(box.ravel())
    counts = [0, *lengths.tolist()] if values[0] else lengths.tolist()
    return ", ".join(map(str, counts)), (left, top, box.shape[1], box.shape[0])


def _runs(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and values of the runs of a flat array."""
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return np.diff(starts, append=flat.size), flat[starts]
