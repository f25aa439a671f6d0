"""Near-duplicates among very many hashes: python tests/perf/duplicates_scale.py [HASHES ...] [--ray].

Made-up clips of FRAMES random hashes; one in COPIES is a copy whose frames differ in up to 31 bits each. Prints, for each
number of hashes (default 100000 and 1000000): how many of the planted pairs the bands find, pairs found that were not planted,
CPU-seconds and the most memory; beside it what comparing all with all costs, measured on SAMPLE hashes and scaled up. With --ray
Ray Data does it once more, which must give the same.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from curation import bands
from svmbench.fleet import Fleet

FRAMES, COPIES, BITS, SAMPLE = 10, 20, 31, 4_000


def planted(num_hashes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, set[tuple[int, int]]]:
    """(hashes, clip of each, the pairs of clips that are copies)."""
    rng = np.random.default_rng(seed)
    num_clips = num_hashes // FRAMES
    hashes_NFB = rng.integers(0, 256, (num_clips, FRAMES, 32)).astype(np.uint8)
    originals = np.arange(0, num_clips - 1, COPIES)
    bits = np.unpackbits(hashes_NFB[originals], axis=2)
    turned = rng.random(bits.shape).argsort(axis=2) < rng.integers(0, BITS + 1, (*bits.shape[:2], 1))
    hashes_NFB[originals + 1] = np.packbits(bits ^ turned, axis=2)
    words = np.ascontiguousarray(hashes_NFB.reshape(-1, 32)).view(np.uint64)
    return words, np.repeat(np.arange(num_clips), FRAMES), {(int(i), int(i) + 1) for i in originals}


def compare_all(words_N4: np.ndarray, clip_N: np.ndarray) -> tuple[set[tuple[int, int]], float]:
    """(pairs of clips with a pair of hashes within BITS, CPU-seconds for one pair of hashes)."""
    began = time.process_time()
    found = set()
    for i in range(len(words_N4)):
        plain = bands.distance(words_N4[i], words_N4[i + 1 :]) <= BITS
        turned = bands.distance(words_N4[i], words_N4[i + 1 :], mirrored=True) <= BITS
        found |= {(int(clip_N[i]), int(c)) for c in clip_N[i + 1 :][plain | turned] if c != clip_N[i]}
    return found, (time.process_time() - began) / (len(words_N4) ** 2 / 2)


def main(numbers: list[int], with_ray: bool) -> None:
    words, clips, truth = planted(SAMPLE)
    exact, pair_s = compare_all(words, clips)
    banded = {(int(a), int(b)) for a, b in bands.near(words, clips, BITS)}
    print(f"{SAMPLE} hashes: all with all finds {len(exact)} pairs of clips, the bands {len(banded)}, "
          f"{len(exact - banded)} missing, {len(banded - exact)} too many; planted {len(truth)}")  # fmt: skip
    for number in numbers:
        words, clips, truth = planted(number)
        began = time.process_time()
        cold = ~bands.hot(words, clips)
        hot_s = time.process_time() - began
        pairs = bands.near(words[cold], clips[cold], BITS)
        took_s = time.process_time() - began
        found = {(int(a), int(b)) for a, b in pairs}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{number} hashes of {number // FRAMES} clips: {len(truth & found)} of {len(truth)} planted pairs "
              f"({len(truth & found) / len(truth):.4f}), {len(found - truth)} others; {took_s:.1f} CPU-s ({hot_s:.1f} for hot "
              f"hashes), at most {peak:.0f} MB; all with all: {pair_s * number**2 / 2:.0f} CPU-s (scaled up)")  # fmt: skip
        if with_ray:
            with Fleet() as fleet:
                fleet.start_ray()
                wall = time.perf_counter()
                again = bands.near(words[cold], clips[cold], BITS, shuffled=True)
                print(f"  Ray Data: {time.perf_counter() - wall:.0f} s by the clock on {fleet.num_cpus} cores, "
                      f"the same pairs: {np.array_equal(pairs, again)}")  # fmt: skip


if __name__ == "__main__":
    main([int(a) for a in sys.argv[1:] if a != "--ray"] or [100_000, 1_000_000], "--ray" in sys.argv)
