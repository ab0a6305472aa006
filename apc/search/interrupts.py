"""Ctrl-C and its like while a search goes on: the first ends it cleanly and says so at once, a second ends it at once.

SIGTERM (a batch system, a container) and SIGHUP (a terminal that went away) are taken for Ctrl-C. Whatever the main
thread is busy with, a thread of its own answers.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WAITING = (
    "stopping: Ray's processes end, then what is finished is written; nothing finished is lost, and a second Ctrl-C "
    "ends at once"
)


def to_stderr(sentence: str) -> None:
    """Say a sentence beside the output; a terminal that went away hears nothing."""
    with suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)


class Interrupts:
    """What has been asked for; see `interrupts`."""

    def __init__(self) -> None:
        self.stopped = False
        """Whether the search is to end."""
        self.say: Callable[[str], None] = to_stderr
        """What the answer is said with."""
        self._holding = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it nothing is raised where the signal arrives: whoever holds it looks at `stopped`."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False

    def install(self) -> None:
        """Take the signals, again where Ray has taken SIGTERM; not SIGHUP where nohup has it ignored."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, self._asked)

    def _asked(self, number: int, frame: object) -> None:
        """The signal's handler in the main thread."""
        if number == signal.SIGHUP:
            _leave_terminal()
        first, self.stopped = not self.stopped, True
        if first and not self._holding:
            raise KeyboardInterrupt

    def answer(self, reader: socket.socket) -> None:
        """Answer the numbers of signals as they arrive, until the other end closes; its own thread."""
        asked = False
        while numbers := reader.recv(1):
            number = numbers[0]
            if number == signal.SIGHUP:
                _leave_terminal()
            if number in SIGNALS and not asked:
                asked = True
                self.say(WAITING)
            elif number in (signal.SIGINT, signal.SIGTERM):
                _end_at_once()


def _leave_terminal() -> None:
    """Nothing can be written to a terminal that went away, and trying would be an error."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        with suppress(OSError):
            if os.isatty(stream):
                os.dup2(nothing, stream)


def _end_at_once() -> None:
    """End this process; Ray's own end with it, as if it had been killed, and finished runs are on disk."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")  # the view hides the cursor
    to_stderr("ended at once; the same command goes on")
    os._exit(130)


_current: Interrupts | None = None


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Signals taken while it lasts; within another one, that one. Outside the main thread nothing is taken."""
    global _current
    if _current or threading.current_thread() is not threading.main_thread():
        yield _current or Interrupts()
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    asked = _current = Interrupts()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    threading.Thread(target=asked.answer, args=(reader,), daemon=True).start()
    fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    asked.install()
    try:
        yield asked
    finally:
        signal.set_wakeup_fd(fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        _current = None
        writer.close()
