"""Keyed permutations of which any position can be asked for, and the turns that sources of a mixture take.

A permutation of ``range(n)`` is a Feistel network over the least power of two that holds n, walked until it is back
inside: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002. The two parts of a number change by turns, as
in NIST SP 800-38G, so they need not be of one length. Keys come from SplitMix64 (Steele, Lea and Flood, 2014).
"""

from heapq import heappop, heappush

import numpy as np

from ._jit import kernel

ROUNDS, MORE, FEW = 10, 3, np.uint64(10)  # numbers of so few bits take so many times the rounds to mix
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)  # multipliers of SplitMix64
A, B, C, HALF, WORD = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32), np.uint64(64)
ONE = np.uint64(1)


@kernel(inline=True)
def _scattered(x):
    """Bits of a key, each of which depends on all."""
    x = (x ^ (x >> A)) * FIRST
    x = (x ^ (x >> B)) * SECOND
    return x ^ (x >> C)


@kernel(inline=True)
def _round(part, key, bits):
    """So many bits that depend on the other part."""
    x = (part + key) * FIRST
    x = (x ^ (x >> HALF)) * SECOND
    return x >> (WORD - bits)


@kernel(inline=True)
def _permuted(at, n, keys):
    """Number ``at`` of a permutation of ``range(n)``, n above 1."""
    bits = np.uint64(2)
    while bits < WORD - ONE and (ONE << bits) < n:
        bits += ONE
    low_bits = bits >> ONE
    high_bits = bits - low_bits
    mask = (ONE << low_bits) - ONE
    x = at
    while True:
        low, high = x & mask, x >> low_bits
        for again in range(MORE if bits <= FEW else 1):
            for r in range(0, ROUNDS, 2):  # their number is known to the compiler
                low ^= _round(high, keys[again, r], low_bits)
                high ^= _round(low, keys[again, r + 1], high_bits)
        x = (high << low_bits) | low
        if x < n:
            return x


@kernel()
def permute(source, count, sizes, seeds, item):
    """Item number ``count`` of each source, which is walked again and again, each time in another order."""
    keys = np.empty((sizes.size, MORE, ROUNDS), np.uint64)
    known = np.full(sizes.size, -1, np.int64)  # the walk that the keys are of
    for i in range(source.size):
        s = source[i]
        n = sizes[s]
        walk = count[i] // n
        at = count[i] - walk * n
        if n == 1:
            item[i] = 0
            continue
        if known[s] != walk:
            key = _scattered(seeds[s] + np.uint64(walk + 1) * GOLDEN)
            for r in range(MORE * ROUNDS):
                keys[s, r // ROUNDS, r % ROUNDS] = _scattered(key + np.uint64(r + 1) * GOLDEN)
            known[s] = walk
        item[i] = np.int64(_permuted(np.uint64(at), np.uint64(n), keys[s]))


@kernel()
def deal(shares, source, turn):
    """Whose turn it is at each of the places of a period, and how many turns the source had before in it.

    Turn j of a source with w of W places is due from place ``floor(j W / w)`` on and before ``ceil((j + 1) W / w)``;
    of what is due, the most urgent goes first. Then every source has had, at any time, its share rounded up or down
    (Baruah, Cohen, Plaxton and Varvel, "Proportionate progress", 1996).
    """
    period, many = source.size, shares.size
    first = np.full(period + 1, -1, np.int64)  # chains of the sources that are due from a place on
    after = np.full(many, -1, np.int64)
    done = np.zeros(many, np.int64)
    for s in range(many):
        if shares[s]:
            after[s], first[0] = first[0], s
    ready = [np.int64(0) for _ in range(0)]
    for place in range(period):
        s = first[place]
        while s >= 0:
            due = ((done[s] + 1) * period + shares[s] - 1) // shares[s]
            heappush(ready, due * many + s)
            s = after[s]
        s = heappop(ready) % many
        source[place], turn[place] = s, done[s]
        done[s] += 1
        later = min(max(place + 1, done[s] * period // shares[s]), period)
        after[s], first[later] = first[later], s
