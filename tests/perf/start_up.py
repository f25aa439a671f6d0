"""How long a newcomer waits for --help, against a command line that imports everything: python tests/perf/start_up.py.

Prints the median of some starts in seconds and the ratio.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 7
HELP = "import sys; sys.argv = ['svmbench', '--help']; import svmbench.cli; svmbench.cli.main()"
EAGER = "import torch, ray, cv2, datasets, selenium; " + HELP


def seconds(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    ours, eager = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(HELP))
        eager.append(seconds(EAGER))
    light, heavy = statistics.median(ours), statistics.median(eager)
    print(f"svmbench --help          {light:.2f} s")
    print(f"with everything imported {heavy:.2f} s, {heavy / light:.0f} times as long")


if __name__ == "__main__":
    main()
