"""Twenty generated sets that the search is judged by.

Blobs that are clear, overlapping, of unequal size or spread, correlated,
heavy-tailed, on a grid with many equal rows, or no blobs at all: 200 to
20,000 rows, 2 to 17 features, k up to 30.  Everything follows from the seed.
"""
import numpy as np


def blobs(rng, rows, features, centers, spread, shares=None, widths=None):
    where = rng.uniform(-10, 10, size=(centers, features))
    which = rng.choice(centers, size=rows, p=shares)
    width = np.ones(centers) if widths is None else np.asarray(widths)
    noise = rng.normal(size=(rows, features)) * spread
    return where[which] + noise * width[which, None]


def falling(n, ratio=0.75):
    share = ratio ** np.arange(n)
    return share / share.sum()


def make(number):
    """Set number 1 .. 20: (rows as a float array, k)."""
    rng = np.random.default_rng(1000 + number)
    if number == 1:
        return blobs(rng, 200, 2, 5, 1.0), 5
    if number == 2:
        return blobs(rng, 500, 3, 8, 2.5), 8
    if number == 3:
        return blobs(rng, 1000, 2, 15, 1.5), 15
    if number == 4:
        return blobs(rng, 2000, 4, 10, 3.0), 12
    if number == 5:
        return blobs(rng, 5000, 8, 20, 2.0, falling(20)), 20
    if number == 6:
        return blobs(rng, 20000, 8, 12, 4.0, falling(12, 0.6)), 10
    if number == 7:
        return blobs(rng, 10000, 17, 30, 2.0), 30
    if number == 8:
        return blobs(rng, 20000, 17, 25, 3.0, falling(25, 0.85)), 30
    if number == 9:
        return rng.uniform(size=(3000, 2)), 20
    if number == 10:
        return rng.uniform(size=(5000, 5)), 8
    if number == 11:
        return rng.lognormal(size=(8000, 4)), 10
    if number == 12:
        return rng.lognormal(sigma=1.5, size=(20000, 3)), 7
    if number == 13:
        return rng.integers(0, 12, size=(4000, 2)).astype(float), 9
    if number == 14:
        return rng.integers(0, 5, size=(10000, 3)).astype(float), 14
    if number == 15:
        x = blobs(rng, 6000, 6, 9, 1.5, None, rng.uniform(0.3, 3, 9))
        return x @ rng.normal(size=(6, 6)), 9
    if number == 16:
        return rng.standard_t(3, size=(12000, 5)), 6
    if number == 17:
        angle = rng.uniform(0, 2 * np.pi, 3000)
        ring = rng.choice([3.0, 6.0, 9.0], 3000) + rng.normal(size=3000) * .3
        return np.c_[ring * np.cos(angle), ring * np.sin(angle)], 12
    if number == 18:
        return blobs(rng, 20000, 2, 30, 1.0), 30
    if number == 19:
        return blobs(rng, 15000, 12, 40, 2.5, falling(40, 0.9)), 25
    if number == 20:
        mixed = blobs(rng, 9000, 7, 6, 2.0, [.6, .2, .1, .05, .04, .01])
        mixed[:, 0] = np.round(mixed[:, 0])
        mixed[:, 1] = np.exp(mixed[:, 1] / 4)
        return mixed, 6
    raise ValueError(number)


NUMBERS = range(1, 21)
