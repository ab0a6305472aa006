"""TensorBoard's files of a search's curves, one a start of a trial, written by the driver as results come.

tensorboardX gives each file a thread, a queue between processes and an event a number, and waits for the disk after
every result: of a driver with trials of a second that was a quarter. Here a result is one event, written at once, and
the system brings it to the disk. What is written is the same.
"""

import itertools
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import masked_crc32c
from tensorboardX.summary import scalar

VERSION = "brain.Event:2"
_numbers = itertools.count()


class EventFile:
    """A file of events; of tensorboardX's writer what Tune asks for numbers and settings."""

    def __init__(self, folder: str, flush_secs: int = 0) -> None:
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self.path = Path(folder, name)
        self.file_writer = self
        self._gathered, self._step = Summary(), 0
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write(Event(wall_time=time.time(), file_version=VERSION))

    def add_scalar(self, tag: str, value: float, global_step: int) -> None:
        """Take a number of a result, all of one step, to be written with the others."""
        self._step = global_step
        self._gathered.MergeFrom(scalar(tag, value))

    def flush(self) -> None:
        """Write what was taken."""
        if self._gathered.value:
            self._write(Event(wall_time=time.time(), step=self._step, summary=self._gathered))
            self._gathered = Summary()

    def add_summary(self, summary: Any) -> None:
        """Write a summary by itself, as the settings are one."""
        self._write(Event(wall_time=time.time(), summary=summary))

    def close(self) -> None:
        """Write what is left."""
        self.flush()

    def _write(self, event: Any) -> None:
        """Add a record: size, its checksum, the event, its checksum."""
        content = event.SerializeToString()
        size = struct.pack("<Q", len(content))
        record = size + struct.pack("<I", masked_crc32c(size)) + content + struct.pack("<I", masked_crc32c(content))
        with suppress(OSError), open(self.path, "ab") as file:  # on a full disk a curve ends, and no search does
            file.write(record)
