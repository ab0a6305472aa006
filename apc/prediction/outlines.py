"""Polygons around a region, for tools and hands that move corners.

Shapes: H,W the photograph's own pixels; coordinates are x,y, where pixel (0,0) reaches from 0,0 to 1,1.
"""

import numpy as np
from contourpy import FillType, contour_generator
from scipy import ndimage

TOLERANCE = 0.5  # pixels by which an outline may leave out a corner


def polygons(region: np.ndarray) -> list[np.ndarray]:
    """Outlines (n,2) of a region (H,W) bool, one for each of its connected parts, all its pixels' centres inside and
    all others outside but for those within a pixel of an outline.

    No tool's polygon has holes: the ring around a hole is joined to the outline by a slit without width.
    """
    parts, _ = ndimage.label(region)
    outlines = []
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        part = np.pad(parts[box] == number, 1)
        traced = contour_generator(z=part.astype(np.float32), fill_type=FillType.OuterOffset).filled(0.5, 2.0)
        corner = np.array([box[1].start - 0.5, box[0].start - 0.5])  # of the padding's first pixel, whose centre is 0,0
        for points, offsets in zip(*traced, strict=True):
            rings = [_simple(_cornered(points[a:b])) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
            outlines.append(_joined(rings) + corner)
    return outlines


def _cornered(ring: np.ndarray) -> np.ndarray:
    """A closed ring through the middles of pixels' edges, its last point its first, with the pixels' corners that it
    cuts off, and open."""
    a, b = ring[:-1], ring[1:]
    cuts = (a != b).all(1)
    corner = np.where(a % 1 == 0.5, a, b)  # of the two middles, each knows one side of the corner
    both = np.stack([a, corner], 1)
    points: np.ndarray = both[np.stack([np.ones_like(cuts), cuts], 1)]
    return points


def _simple(ring: np.ndarray) -> np.ndarray:
    """A closed ring (n,2) without the points that lie within TOLERANCE of the line that is left (Douglas-Peucker)."""
    ring = np.roll(ring, -int(np.lexsort(ring.T)[0]), 0)  # so that it begins at a corner
    far = int(np.linalg.norm(ring - ring[0], axis=1).argmax())
    ends = [(0, far), (far, len(ring))]
    closed = np.concatenate([ring, ring[:1]])
    kept = np.zeros(len(closed), bool)
    kept[[0, far]] = True
    while ends:
        a, b = ends.pop()
        if b - a < 2:
            continue
        (x, y), (dx, dy) = (closed[a + 1 : b] - closed[a]).T, closed[b] - closed[a]
        away = np.abs(x * dy - y * dx) / np.hypot(dx, dy) if dx or dy else np.hypot(x, y)
        if away.max() > TOLERANCE:
            middle = a + 1 + int(away.argmax())
            kept[middle] = True
            ends += [(a, middle), (middle, b)]
    simple = ring[kept[:-1]]
    return simple if len(simple) > 2 else ring


def _joined(rings: list[np.ndarray]) -> np.ndarray:
    """One ring of an outline and the rings around its holes, nearest holes first joined."""
    joined = rings[0]
    for hole in sorted(rings[1:], key=lambda ring: float(ring[:, 0].min())):
        start = int(hole[:, 0].argmin())
        turned = np.concatenate([hole[start:], hole[: start + 1]])
        at = int(np.linalg.norm(joined - hole[start], axis=1).argmin())
        joined = np.concatenate([joined[: at + 1], turned, joined[at:]])
    return joined
