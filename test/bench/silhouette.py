#!/usr/bin/python3
"""The exact silhouette beside scikit-learn: the same rows and segments, the
same run.

kseg reads 10,000 rows from a table, finds their segments and computes every
measure of kseg_evaluate; scikit-learn gets the matrix scaled and the labels,
and computes the silhouette alone.  Both may use every core.
"""
import subprocess
import sys
import time

import numpy as np
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

COLUMNS = "age, visits, recency, income, basket, discount, monetary, score"
QUERY = f"SELECT {COLUMNS} FROM bench_silhouette"
SETUP = f"""
DROP TABLE IF EXISTS bench_silhouette, bench_silhouette_model;
CREATE TABLE bench_silhouette AS SELECT id, {COLUMNS} FROM bench LIMIT 10000;
CREATE TABLE bench_silhouette_model AS SELECT kseg_fit(5, {COLUMNS}) AS model
FROM bench_silhouette"""
REPEATS = 5


def psql(sql):
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-F", " ", "-c",
                           sql], text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def timed(call):
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


psql(SETUP)
columns = ", ".join(c + "::float8" for c in COLUMNS.split(", "))
rows = np.array([line.split() for line in psql(
    f"SELECT kseg_predict(model, {COLUMNS}), {columns} "
    "FROM bench_silhouette, bench_silhouette_model").splitlines()], float)
own = rows[:, 0].astype(int)
z = StandardScaler().fit_transform(rows[:, 1:])

pairs = []
for _ in range(REPEATS):
    # in turn, so that a drift of the machine's speed meets both
    ours, found = timed(lambda: float(psql(
        "SELECT silhouette FROM kseg_evaluate((SELECT model "
        f"FROM bench_silhouette_model), '{QUERY}') WHERE segment IS NULL")))
    theirs, expected = timed(lambda: silhouette_score(z, own))
    pairs.append((theirs / ours, ours, theirs))
ratio, ours, theirs = sorted(pairs)[REPEATS // 2]

print(f"\n{'kseg_evaluate of 10,000 x 8, from the table, ms':58} "
      f"{1000 * ours:8.0f}")
print(f"{'scikit-learn silhouette_score of the same, ms':58} "
      f"{1000 * theirs:8.0f}")
print(f"{'scikit-learn / kseg_evaluate':58} {ratio:8.1f}   >= 4")
print(f"{'difference of the silhouettes':58} {found - expected:+8.0e}   "
      "<= 1e-09")
