"""What a store adds to an epoch, in percent of a 60-second epoch: at most 3.

    python -m benchmarks.store --delay 0.1 --mib 24

A run that trains nothing: an epoch is a sleep, and what it leaves, a state of so many MiB and a curve, goes to an S3
server of moto's on loopback that lets every request wait for `--delay` seconds. Measured is how long the run is held up
behind an epoch, epoch by epoch, and what it waits for before the first and behind the last. Epochs are much shorter
than those that the share refers to, but longer than an upload, as they are. Needs the extra `test`; half a minute.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from apc.runs.copies import copied
from apc.runs.folder import RunFolder
from apc.runs.shared_run import run_at
from apc.runs.stamp import machine

EPOCH = 60.0  # seconds of the epoch that the share refers to
LIMIT = 3.0  # percent
URL = "s3://bucket/runs"


def measure(mib: float, epochs: int, sleep: float) -> tuple[float, list[float], float]:
    """Seconds before the first epoch, behind each, and behind the last."""
    folder = RunFolder(copied(URL) / "run")
    folder.path.mkdir(parents=True)
    place, state, held_up = run_at(folder.path), os.urandom(int(mib * 2**20)), []
    start = time.perf_counter()
    with place.held():
        before = time.perf_counter() - start
        report = place.reporting(None)
        assert report
        for epoch in range(epochs):
            time.sleep(sleep)
            folder.state.write_bytes(state)
            folder.write_epochs([{"epoch": number + 1} for number in range(epoch + 1)])
            start = time.perf_counter()
            report({"epoch": epoch + 1})
            held_up.append(time.perf_counter() - start)
        start = time.perf_counter()
    return before, held_up, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.1)
    parser.add_argument("--mib", type=float, default=24)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--sleep", type=float, default=3.0)
    words = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from stores import environment, serving

    with serving() as server, tempfile.TemporaryDirectory() as cache:
        server.clear()
        os.environ |= environment(server) | {"APC_CACHE": cache}
        server.delay = words.delay
        before, held_up, behind = measure(words.mib, words.epochs, words.sleep)
        requests = len(server.requests)
    share = 100 * statistics.mean(held_up) / EPOCH
    around = 100 * (before + behind) / (words.epochs * EPOCH)
    print(f"{machine()}; a state of {words.mib:g} MiB, {words.delay:g} s a request, {words.epochs} epochs")
    print(
        f"held up behind an epoch: {1000 * statistics.mean(held_up):.1f} ms in the mean, {max(held_up):.3f} s at most"
    )
    print(f"before the first {before:.2f} s, behind the last {behind:.2f} s, {requests} requests")
    print(f"{share:.3f} % of a {EPOCH:.0f}-second epoch; {share + around:.3f} % with both ends; at most {LIMIT:g} %")
    return 0 if share + around <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
