#!/usr/bin/python3
"""Scalers, inertia, assignment, weights and categories against scikit-learn.

Everything to 1e-9 relative.  The data are the mall customers, where they are
at hand, and generated sets.
"""
import json

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import (MaxAbsScaler, MinMaxScaler, OneHotEncoder,
                                   RobustScaler, StandardScaler)

import datasets
from session import (close, finish, floats, load, load_array, mall, model, ok,
                     psql, skip)

SCALERS = {"zscore": StandardScaler(), "minmax": MinMaxScaler(),
           "robust": RobustScaler(), "maxabs": MaxAbsScaler()}

# the best known inertia of the mall customers, from many restarts
MALL_RAW = [269981.28, 181363.595960, 106348.373062, 73679.789039,
            44448.455448, 37233.814511, 30227.606513, 24986.525641,
            21794.885610, 19634.554629]
MALL_SCALED = {5: 168.247580, 8: 103.788203, 10: 81.428991}


def lloyd(z, start, weights=None):
    fit = KMeans(len(start), init=np.asarray(start), n_init=1, tol=0,
                 max_iter=1000, algorithm="lloyd")
    return fit.fit(z, sample_weight=weights)


def check_mall():
    rows = mall()
    if rows is None:
        skip("mall customers", "shared data are not here")
        return
    load("mall", "age int, annual_income int, spending_score int",
         ([int(v) for v in row] for row in rows))
    for k, best in enumerate(MALL_RAW, 1):
        found = model(f"""SELECT kseg_fit('{{"k": {k}, "scale": "none"}}'::jsonb,
            annual_income, spending_score) FROM mall""")["inertia"]
        ok(found <= best * (1 + 1e-6), f"mall, raw, k = {k}: {found}")
    found = model("""SELECT kseg_fit('{"k": 5, "scale": "none"}'::jsonb,
        annual_income, spending_score) FROM mall""")["inertia"]
    ok(close(found, 44448.4554479337), f"mall, raw, k = 5: {found!r}")
    for k, best in MALL_SCALED.items():
        found = model(f"""SELECT kseg_fit({k}, age, annual_income,
            spending_score) FROM mall""")["inertia"]
        ok(found <= best * (1 + 1e-6), f"mall, z-scored, k = {k}: {found}")


def check_scalers():
    x, _ = datasets.make(20)
    columns = load_array("scaling", x)
    for method, scaler in SCALERS.items():
        expected = scaler.fit_transform(x)
        found = np.array(floats(f"""
            SELECT array_to_string(kseg_scale(s, {columns}), '|')
            FROM scaling, (SELECT kseg_scaler('{method}', {columns}) AS s
                           FROM scaling) AS t ORDER BY id"""))
        error = np.max(np.abs(found - expected) /
                       np.maximum(np.abs(expected), 1))
        ok(error < 1e-9, f"kseg_scale {method}: largest error {error:.1e}")


def check_fits():
    """The same start, the same scaling: the same inertia and segments."""
    # sets without equal distances: those are settled differently
    for number in (2, 5, 11, 15, 16):
        x, k = datasets.make(number)
        columns = load_array("fits", x)
        start = x[np.random.default_rng(number).choice(len(x), k, False)]
        for method, scaler in SCALERS.items():
            z = scaler.fit_transform(x)
            fit = lloyd(z, scaler.transform(start))
            options = json.dumps({"k": k, "scale": method, "max_iter": 1000,
                                  "init": start.tolist()})
            psql(f"""DROP TABLE IF EXISTS m; CREATE TABLE m AS
                SELECT kseg_fit('{options}'::jsonb, {columns}) AS model
                FROM fits""")
            found = model("SELECT model FROM m")
            ok(close(found["inertia"], fit.inertia_),
               f"set {number} {method}: inertia {found['inertia']!r} "
               f"against {fit.inertia_!r}")
            own = np.array(floats(f"""SELECT kseg_predict(model, {columns})
                FROM fits, m ORDER BY id"""))[:, 0]
            pairs = len(set(zip(own, fit.labels_)))
            ok(pairs == k, f"set {number} {method}: the same segments")


def check_weights():
    x, k = datasets.make(11)
    rng = np.random.default_rng(3)
    weight = rng.exponential(size=len(x)) + 0.01
    load("weighted", "id int, x1 float8, x2 float8, x3 float8, x4 float8, w float8",
         ([i] + [float(v) for v in row] + [float(weight[i])]
          for i, row in enumerate(x)))
    start = x[rng.choice(len(x), k, False)]
    scaler = StandardScaler().fit(x, sample_weight=weight)
    fit = lloyd(scaler.transform(x), scaler.transform(start), weight)
    options = json.dumps({"k": k, "row_weight": "w", "max_iter": 1000,
                          "init": start.tolist()})
    found = model(f"""SELECT kseg_fit('{options}'::jsonb, x1, x2, x3, x4, w)
        FROM weighted""")
    ok(close(found["inertia"], fit.inertia_),
       f"row weights: inertia {found['inertia']!r} against {fit.inertia_!r}")
    # a feature's weight multiplies squared differences
    z = StandardScaler().fit_transform(x)
    z[:, 1] *= np.sqrt(2)
    begin = StandardScaler().fit(x).transform(start)
    begin[:, 1] *= np.sqrt(2)
    fit = lloyd(z, begin)
    options = json.dumps({"k": k, "weights": {"x2": 2}, "max_iter": 1000,
                          "init": start.tolist()})
    found = model(f"""SELECT kseg_fit('{options}'::jsonb, x1, x2, x3, x4)
        FROM weighted""")
    ok(close(found["inertia"], fit.inertia_),
       f"feature weights: inertia {found['inertia']!r} "
       f"against {fit.inertia_!r}")


def check_categories():
    rng = np.random.default_rng(7)
    n = 2000
    gender = rng.choice(["female", "male"], n, p=[.6, .4])
    city = rng.choice(["Berlin", "Oslo", "Rome", "Vienna"], n,
                      p=[.5, .3, .15, .05])
    # whole years would make equal distances, which are settled differently
    age = np.round(rng.normal(40, 12, n) + 8 * (city == "Oslo"), 3)
    load("mixed", "id int, age float8, gender text, city text",
         zip(range(n), age.tolist(), gender, city))
    start = rng.choice(n, 6, False)
    text = [[float(age[i]), gender[i], city[i]] for i in start]
    for method in ("zscore", "minmax", "none"):
        hot = OneHotEncoder(sparse_output=False) if "sparse_output" in \
            OneHotEncoder().get_params() else OneHotEncoder(sparse=False)
        parts = [age[:, None] if method == "none" else
                 SCALERS[method].fit_transform(age[:, None])]
        for column in (gender, city):
            one = hot.fit_transform(column[:, None])
            share = one.mean(0)
            if method == "zscore":
                one = one / np.sqrt(1 - (share ** 2).sum())
            parts.append(one)
        z = np.hstack(parts)
        fit = lloyd(z, z[start])
        options = json.dumps({"k": 6, "scale": method, "init": text,
                              "max_iter": 1000})
        found = model(f"""SELECT kseg_fit('{options}'::jsonb, age, gender,
            city) FROM mixed""")
        ok(close(found["inertia"], fit.inertia_),
           f"categories, {method}: inertia {found['inertia']!r} "
           f"against {fit.inertia_!r}")


check_mall()
check_scalers()
check_fits()
check_weights()
check_categories()
finish()
