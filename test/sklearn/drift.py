#!/usr/bin/python3
"""kseg_drift and the inertia of a run against numpy.

Population stability indices from the bins that are stored, shifts of means
and centroids, shares and the ratio of inertia, to 1e-9, in the space that
StandardScaler and one-hot columns make; the bins themselves against the
quantiles.
"""
import json

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.preprocessing import StandardScaler

from session import close, finish, load, ok, psql

NUMBERS = ["a", "b", "c"]
PLANS = [f"p{i}" for i in range(30)]
ROWS = 6000
K = 4


def make(seed, moved):
    """Numbers (NaN: missing only when moved) and a category's positions."""
    rng = np.random.default_rng(seed)
    group = rng.integers(K, size=ROWS)
    at = np.random.default_rng(1).normal(size=(K, 3)) * 4
    x = at[group] + rng.normal(size=(ROWS, 3))
    x[:, 1] = np.exp(x[:, 1])
    x[rng.random(ROWS) < 0.3, 2] = 0
    plan = np.minimum(rng.geometric(0.15, size=ROWS) - 1, 27)
    if moved:
        x[:, 0] += 0.4
        x[:, 1] *= 1.2
        x[rng.random(ROWS) < 0.02, 2] = np.nan
        plan[rng.random(ROWS) < 0.05] = 28
    return x, plan


def store(table, x, plan):
    load(table, "id int PRIMARY KEY, a float8, b float8, c float8, plan text",
         ([i] + [None if np.isnan(v) else float(v) for v in row] + [PLANS[p]]
          for i, (row, p) in enumerate(zip(x, plan))))


def psi(then, now):
    a = np.maximum(then / then.sum(), 0.0001)
    b = np.maximum(now / now.sum(), 0.0001)
    return ((b - a) * np.log(b / a)).sum()


def agree(name, found, wanted):
    ok(close(found, wanted), f"{name}: {found!r} against {wanted!r}")


class Space:
    """Scaled columns and one-hot ones, as the fit's rows make them."""

    def __init__(self, x, plan):
        self.scaler = StandardScaler().fit(x)
        share = np.bincount(plan, minlength=len(PLANS)) / len(plan)
        self.known = share > 0
        self.factor = 1 / np.sqrt(1 - (share ** 2).sum())

    def place(self, x, plan):
        hot = np.eye(len(PLANS))[plan] * self.factor
        # a value never seen is as far from the known ones as these are from
        # each other, and in no centroid
        return np.hstack([self.scaler.transform(x), hot])


def count(bins, x, plan, complete):
    """Rows in the bins of a feature: those that have a segment."""
    f = bins["feature"]
    if f == "plan":
        own = [bins["categories"].index(PLANS[p])
               if PLANS[p] in bins["categories"] else len(bins["categories"])
               for p in plan[complete]]
        return np.bincount(own, minlength=len(bins["counts"]))
    v = x[:, NUMBERS.index(f)]
    own = np.searchsorted(bins["edges"], v[complete], side="right")
    counts = np.bincount(own, minlength=len(bins["counts"]))
    counts[-1] += np.isnan(v).sum()
    return counts


x, plan = make(2, False)
store("drift_customer", x, plan)
psql(f"""SELECT kseg_create('drift', 'SELECT id, a, b, c, plan
    FROM drift_customer', 'id', {K}, '{{"sample": 7000}}')""")
psql("SELECT kseg_run('drift')")
own = np.array([int(v) for v in psql("""SELECT kseg_predict(model, a, b, c, plan)
    FROM drift_customer, kseg_models ORDER BY drift_customer.id""").split()])
space = Space(x, plan)
z = space.place(x, plan)
centers = np.array([z[own == s].mean(0) for s in range(1, K + 1)])
square = ((z - centers[own - 1]) ** 2).sum(1)

x2, plan2 = make(3, True)
store("drift_customer", x2, plan2)
psql("SELECT kseg_run('drift', 'score')")
found = json.loads(psql("SELECT json_agg(d) FROM kseg_drift('drift') AS d"))
bins = json.loads(psql("""SELECT json_agg(b ORDER BY "position")
    FROM kseg_baselines AS b"""))

complete = ~np.isnan(x2).any(1)
z2 = space.place(x2[complete], plan2[complete])
distance = cdist(z2, centers) ** 2
own2 = distance.argmin(1) + 1

for b, row in zip(bins, found):
    f = b["feature"]
    everything = np.ones(ROWS, bool)
    then = count(b, x, plan, everything)
    ok((then == b["counts"]).all(), f"{f}: rows of the fit in its bins")
    agree(f"{f}: index", row["psi"],
          psi(then, count(b, x2, plan2, complete)))
    if f == "plan":
        continue
    j = NUMBERS.index(f)
    agree(f"{f}: shift", row["shift"],
          (x2[complete, j].mean() - x[:, j].mean()) / x[:, j].std())
    # bins of about a tenth; what is frequent has one of its own
    heavy = [np.mean(x[:, j] == v) for v in np.unique(x[:, j])]
    light = then[:-1] / ROWS <= 0.115
    ok((light | np.isclose(then[:-1] / ROWS, max(heavy))).all() and
       (then[:-1].max() > 0.25 * ROWS) == (f == "c"),
       f"{f}: bins are tenths {then[:-1].tolist()}")

parts = 0
for s in range(1, K + 1):
    row = found[len(bins) + s - 1]
    then = np.mean(own == s)
    now = np.mean(own2 == s)
    agree(f"segment {s}: share then", row["share_then"], then)
    agree(f"segment {s}: share now", row["share_now"], now)
    agree(f"segment {s}: index", row["psi"], (now - then) * np.log(now / then))
    known = np.append(np.ones(3, bool), space.known)
    shift = np.linalg.norm((z2[own2 == s].mean(0) - centers[s - 1])[known])
    agree(f"segment {s}: shift", row["shift"],
          shift / np.sqrt(square[own == s].mean()))
    parts += row["psi"]

drift, ratio = (float(v) for v in psql("""SELECT drift, inertia_ratio
    FROM kseg_runs ORDER BY id DESC LIMIT 1""").split("|"))
agree("drift of the run", drift,
      max(parts, max(row["psi"] for row in found[:len(bins)])))
agree("ratio of inertia", ratio, distance.min(1).mean() / square.mean())
psql("SELECT kseg_drop('drift'); DROP TABLE drift_customer")
finish()
