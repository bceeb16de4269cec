#!/usr/bin/python3
"""kseg_elbow beside scikit-learn: the same rows, the same k, the same run.

kseg goes from the table to the finished table of scores; scikit-learn gets
the matrix ready and scaled, and only fits.  Both may use every core.
"""
import os
import subprocess
import sys
import time

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

COLUMNS = "age, visits, recency, income, basket, discount, monetary, score"
REPEATS = 3


def psql(sql):
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-c", sql],
                          text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def read_matrix():
    columns = ", ".join(c + "::float8" for c in COLUMNS.split(", "))
    copy = subprocess.Popen(["psql", "-X", "-q", "-c",
                             f"COPY (SELECT {columns} FROM bench) TO STDOUT "
                             "(FORMAT csv)"], stdout=subprocess.PIPE,
                            text=True)
    x = np.loadtxt(copy.stdout, delimiter=",")
    if copy.wait() != 0:
        sys.exit("COPY failed")
    return x


def kseg():
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        out = psql(f"SELECT k, inertia FROM kseg_elbow("
                   f"'SELECT {COLUMNS} FROM bench', 1, 10) ORDER BY k")
        times.append(time.perf_counter() - begin)
    return (sorted(times)[REPEATS // 2],
            [float(line.split("|")[1]) for line in out.split()])


def sklearn(z):
    seconds = 0
    inertia = []
    for k in range(1, 11):
        begin = time.perf_counter()
        fit = KMeans(k, n_init=10, random_state=0).fit(z)
        seconds += time.perf_counter() - begin
        inertia.append(fit.inertia_)
        print(f"  scikit-learn, k = {k}: {seconds:.0f} s so far", flush=True)
    return seconds, inertia


z = StandardScaler().fit_transform(read_matrix())
blas = {lib["internal_api"] for lib in threadpool_info()} - {"openmp"}
ours, found = kseg()
theirs, expected = sklearn(z)
worst = max(100 * (f / e - 1) for f, e in zip(found, expected))

print(f"\nscikit-learn uses {', '.join(blas) or 'a BLAS of one thread'}, "
      f"{os.cpu_count()} cores")
print(f"{'kseg_elbow, k = 1..10, seconds':58} {ours:8.2f}")
print(f"{'scikit-learn KMeans, n_init 10, the same k, seconds':58} "
      f"{theirs:8.2f}")
print(f"{'scikit-learn / kseg_elbow':58} {theirs / ours:8.1f}   >= 20")
print(f"{'highest inertia against scikit-learn, %':58} {worst:+8.4f}   "
      "<= 0.05")
