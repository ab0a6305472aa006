"""A large photograph in tiles that overlap, and their answers blended, a few rows of tiles in memory at a time.

Shapes: H,W the photograph's own pixels, K maps that are blended, h,w a tile's pixels.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

Made = TypeVar("Made")

OVERLAP = 64
"""Pixels by which tiles overlap at least, where nobody says."""


class Span(NamedTuple):
    """Where a tile lies along one side of the photograph."""

    start: int
    weights: Tensor
    """What it counts for at each of its pixels, (h,) float32; over all tiles of a side they sum to 1 at each pixel."""

    @property
    def stop(self) -> int:
        return self.start + len(self.weights)

    @property
    def pixels(self) -> slice:
        return slice(self.start, self.stop)


class Block(NamedTuple):
    """A part of the photograph on which all tiles have been heard."""

    rows: slice
    columns: slice
    values: Tensor
    """(K,h,w)."""


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """As few tiles as cover a side and overlap by `overlap` pixels or more, evenly spread. A tile fades towards its
    ends over so many pixels, but not where the photograph ends."""
    tile = min(tile, length)
    count = max(-(-(length - overlap) // (tile - overlap)), 1) if length > tile else 1
    starts = [round(i * (length - tile) / max(count - 1, 1)) for i in range(count)]
    total, faded = np.zeros(length), []
    for start in starts:
        inside = np.arange(tile) + 0.5
        left = inside / max(overlap, 1) if overlap and start else np.ones(tile)
        right = inside[::-1] / max(overlap, 1) if overlap and start + tile < length else np.ones(tile)
        faded.append(np.minimum(np.minimum(left, right), 1))
        total[start : start + tile] += faded[-1]
    return [
        Span(start, torch.from_numpy((weights / total[start : start + tile]).astype(np.float32)))
        for start, weights in zip(starts, faded, strict=True)
    ]


def ahead(begun: Iterable[Callable[[], Made]], most: int) -> Iterator[Made]:
    """Results of what is begun, in order, with up to `most` of them under way meanwhile."""
    waiting: deque[Callable[[], Made]] = deque()
    for finish in begun:
        waiting.append(finish)
        if len(waiting) > most:
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()


def blended(rows: list[Span], columns: list[Span], tiles: Iterator[Tensor]) -> Iterator[Block]:
    """The blocks of a photograph, from the values (K,h,w) of its tiles, row by row, from left to right.

    Of the tiles above only the sums on which the next row is still to be heard are kept.
    """
    above: Tensor | None = None  # (K, from this row's first pixel to the last one of the row above, W)
    for row, next_row in zip(rows, [*rows[1:], None], strict=True):
        height = (next_row.start if next_row else row.stop) - row.start
        below: Tensor | None = None
        left: Tensor | None = None  # (K, h, from this column's first pixel to the last one of the column before)
        for column, next_column in zip(columns, [*columns[1:], None], strict=True):
            values = next(tiles) * row.weights[:, None] * column.weights
            if left is not None:
                values[:, :, : left.shape[2]] += left
            width = (next_column.start if next_column else column.stop) - column.start
            left, values = values[:, :, width:].clone(), values[:, :, :width]
            place = slice(column.start, column.start + width)
            if above is not None:
                values[:, : above.shape[1]] += above[:, :, place]
            if below is None:
                below = values.new_empty(len(values), values.shape[1] - height, columns[-1].stop)
            below[:, :, place] = values[:, height:]
            yield Block(slice(row.start, row.start + height), place, values[:, :height])
        above = below


class Shrunk:
    """Maps of a whole photograph at a small size, summed up from its tiles: the mean over the pixels of each cell."""

    def __init__(self, channels: int, height: int, width: int, side: int) -> None:
        self._size = height, width
        self.cells = min(side, height), min(side, width)
        self._sums = torch.zeros(channels, *self.cells)

    def add(self, row: Span, column: Span, values: Tensor) -> None:
        """Add a tile's values (K,h,w)."""
        (top, down), (left, across) = (self._cells_of(span, axis) for axis, span in enumerate((row, column)))
        part = down @ values @ across.T
        self._sums[:, top : top + len(down), left : left + len(across)] += part

    def mean(self) -> Tensor:
        """The maps, (K,cells)."""
        down, across = (
            torch.from_numpy(np.bincount(np.arange(n) * cells // n, minlength=cells).astype(np.float32))
            for n, cells in zip(self._size, self.cells, strict=True)
        )
        return self._sums / (down[:, None] * across)

    def _cells_of(self, span: Span, axis: int) -> tuple[int, Tensor]:
        """The first cell that a tile reaches, and how much of each of its pixels goes to each cell, (cells,h)."""
        cell = torch.arange(span.start, span.stop) * self.cells[axis] // self._size[axis]
        first = int(cell[0])
        shares = torch.zeros(int(cell[-1]) - first + 1, len(cell))
        shares[cell - first, torch.arange(len(cell))] = span.weights
        return first, shares


def require_tile(tile: int, overlap: int, side: int) -> None:
    """ValueError for a size of tiles that cannot be, where the network reads images of `side` pixels; 0 is no tiles."""
    if not tile and overlap != OVERLAP:
        raise ValueError(f"overlap is {overlap}; it is of tiles: name their side with --tile")
    if not tile:
        return
    if overlap < 0:
        raise ValueError(f"overlap is {overlap}; it must be at least 0 pixels")
    if tile < side:
        raise ValueError(f"tile is {tile}; it must be at least {side}, the side of what the network reads")
    if tile <= 2 * overlap:
        raise ValueError(f"tile is {tile}; it must be more than twice the overlap, which is {overlap}")
