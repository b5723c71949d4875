"""Which items make up a batch, one sample at a time, in Python's integers."""

import numpy as np

WORD = 2**64
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def split_mix(x):
    """The output function of SplitMix64."""
    x = (x ^ (x >> 30)) * FIRST % WORD
    x = (x ^ (x >> 27)) * SECOND % WORD
    return x ^ (x >> 31)


class Permutation:
    """Of range(n), by an alternating Feistel network over the least power of two that holds n."""

    def __init__(self, n, seed, walk=0):
        bits = max(2, (n - 1).bit_length())
        self.n, self.low, self.high = n, bits // 2, bits - bits // 2
        key = split_mix((seed + (walk + 1) * GOLDEN) % WORD)
        self.keys = [split_mix((key + (r + 1) * GOLDEN) % WORD) for r in range(30 if bits <= 10 else 10)]

    def forth(self, x):
        """Where x goes."""
        return self.walk(x, list(enumerate(self.keys)))

    def back(self, x):
        """Where x comes from."""
        return self.walk(x, list(enumerate(self.keys))[::-1])

    def walk(self, x, rounds):
        if self.n == 1:
            return x
        while True:
            high, low = divmod(x, 2**self.low)
            for r, key in rounds:
                if r % 2 == 0:
                    low ^= self.mixed(high, key, self.low)
                else:
                    high ^= self.mixed(low, key, self.high)
            x = high * 2**self.low + low
            if x < self.n:
                return x

    def mixed(self, part, key, bits):
        x = (part + key) * FIRST % WORD
        x = (x ^ (x >> 32)) * SECOND % WORD
        return x >> (64 - bits)


def turns(shares):
    """Source at every place of a period: the first of those that are due whose turn is over soonest."""
    period, done, found = sum(shares), [0] * len(shares), []
    for place in range(period):
        due = [
            (-(-(done[s] + 1) * period // share), s)
            for s, share in enumerate(shares)
            if share and done[s] * period // share <= place and done[s] < share
        ]
        found.append(min(due)[1])
        done[found[-1]] += 1
    return found


def order(sizes, epoch, *, seed, shuffle, shares=None, samples=None):
    """All samples of an epoch as (source, item), in the order that ranks share out."""
    if shares is None:
        items = [(s, k) for s, size in enumerate(sizes) for k in range(size)]
        if not shuffle:
            return items
        permutation = Permutation(len(items), seeds(seed, 1)[0], epoch)
        return [items[permutation.forth(k)] for k in range(len(items))]
    period, had, found = turns(shares), [0] * len(sizes), []
    for place in range((epoch + 1) * samples):
        source = period[place % len(period)]
        walk, at = divmod(had[source], sizes[source])
        had[source] += 1
        if shuffle:
            at = Permutation(sizes[source], seeds(seed, len(sizes))[source], walk).forth(at)
        found.append((source, at))
    return found[epoch * samples :]


def seeds(seed, many):
    """A seed for each source."""
    return [int(word) for word in np.random.SeedSequence(seed).generate_state(many, np.uint64)]
