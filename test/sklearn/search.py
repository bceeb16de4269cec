#!/usr/bin/python3
"""The default search against the best of 60 scikit-learn restarts.

On the twenty sets of datasets.py, z-scored.  scikit-learn's best are kept in
search.json, since 60 restarts of all sets take a minute or two; "search.py
renew" computes them again.
"""
import json
import os
import sys

import datasets
from session import finish, load_array, model, ok

WORST = 1e-3        # never worse than this
KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "search.json")


def renew():
    from sklearn.cluster import KMeans
    best = {}
    for number in datasets.NUMBERS:
        x, k = datasets.make(number)
        z = (x - x.mean(0)) / x.std(0)
        fit = KMeans(k, n_init=60, random_state=0, tol=1e-6,
                     max_iter=500).fit(z)
        best[str(number)] = fit.inertia_
        print(number, x.shape, k, repr(fit.inertia_), flush=True)
    with open(KEPT, "w") as file:
        json.dump(best, file, indent=1)
        file.write("\n")


def main():
    with open(KEPT) as file:
        best = json.load(file)
    excess = []
    for number in datasets.NUMBERS:
        x, k = datasets.make(number)
        columns = load_array("search_set", x)
        fitted = model(f"SELECT kseg_fit({k}, {columns}) FROM search_set")
        excess.append(fitted["inertia"] / best[str(number)] - 1)
        ok(excess[-1] <= WORST,
           f"set {number}, {x.shape[0]} rows, {x.shape[1]} features, k = {k}: "
           f"{100 * excess[-1]:+.4f} %")
    ok(sum(excess) <= 0, "not worse on average: "
       f"{100 * sum(excess) / len(excess):+.4f} %")
    finish()


if __name__ == "__main__":
    renew() if sys.argv[1:] == ["renew"] else main()
