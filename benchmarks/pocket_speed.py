"""How fast the embedded data set is drawn: pictures a second of one core.   python benchmarks/pocket_speed.py"""

import time

from apc.data import pocket

COUNT, ROUNDS = 400, 3


def main() -> None:
    start = time.process_time()
    pocket.draw("train", 0, 0)
    print(f"first picture, with the bank of backgrounds: {time.process_time() - start:.2f} CPU seconds")
    rates = []
    for number in range(ROUNDS):
        start = time.process_time()
        for index in range(COUNT):
            pocket.draw("train", index, number)
        rates.append(COUNT / (time.process_time() - start))
    whole = sum(pocket.SIZES.values()) / max(rates)
    print(f"all {sum(pocket.SIZES.values())} pictures of the three splits: {whole:.1f} CPU seconds")
    print(f"rounds of {COUNT}: {', '.join(f'{rate:.0f}' for rate in rates)}")
    print(f"images/s per core: {max(rates):.0f}")


if __name__ == "__main__":
    main()
