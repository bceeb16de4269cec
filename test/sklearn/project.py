#!/usr/bin/python3
"""kseg_project against scikit-learn's PCA of the scaled matrix.

Coordinates to 1e-9 of their axis's largest, up to an axis's sign, and the
share explained to 1e-9.  The data are the mall customers, where they are at
hand, and generated sets.
"""
import json

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import (MinMaxScaler, OneHotEncoder,
                                   StandardScaler, normalize)

import datasets
from session import (close, finish, floats, load, load_array, mall, ok, psql,
                     skip)


def compare(name, z, options, columns, table):
    """z: the rows of the table in the order of id, scaled."""
    psql(f"""DROP TABLE IF EXISTS m; CREATE TABLE m AS
        SELECT kseg_fit('{json.dumps(options)}'::jsonb, {columns}) AS model
        FROM {table}""")
    for dims in (2, 3):
        axes = "x, y" if dims == 2 else "x, y, z"
        found = np.array(floats(f"""
            SELECT {axes}, explained FROM m, kseg_project(model,
                'SELECT * FROM {table}', 'id', {dims})
            ORDER BY key::int"""))
        kept = min(dims, z.shape[1])
        pca = PCA(kept, svd_solver="full")
        expected = pca.fit_transform(z)
        error = 0
        for a in range(kept):
            sign = np.sign(found[:, a] @ expected[:, a])
            error = max(error, np.abs(found[:, a] - sign * expected[:, a])
                        .max() / np.abs(expected[:, a]).max())
        share = pca.explained_variance_ratio_.sum()
        ok(error < 1e-9 and not found[:, kept:dims].any() and
           close(found[0, dims], share) and np.ptp(found[:, dims]) == 0,
           f"{name}, {dims} axes: error {error:.1e}, explained "
           f"{found[0, dims]!r} against {share!r}")


def check_mall():
    rows = mall()
    if rows is None:
        skip("mall customers", "shared data are not here")
        return
    load("mall", "id int, age int, annual_income int, spending_score int",
         ([i] + [int(v) for v in row] for i, row in enumerate(rows)))
    x = np.array(rows)
    compare("mall, income and score", StandardScaler().fit_transform(x[:, 1:]),
            {"k": 5}, "annual_income, spending_score", "mall")
    compare("mall", StandardScaler().fit_transform(x), {"k": 5},
            "age, annual_income, spending_score", "mall")
    compare("mall, raw", x, {"k": 5, "scale": "none"},
            "age, annual_income, spending_score", "mall")


def check_sets():
    for number in (5, 12, 20):
        x, k = datasets.make(number)
        columns = load_array("project", x)
        compare(f"set {number}", StandardScaler().fit_transform(x), {"k": k},
                columns, "project")
        compare(f"set {number} minmax", MinMaxScaler().fit_transform(x),
                {"k": 3, "scale": "minmax"}, columns, "project")
        z = normalize(StandardScaler().fit_transform(x))
        compare(f"set {number} cosine", z, {"k": 4, "distance": "cosine"},
                columns, "project")


def check_scales():
    """Columns of very different scales, one row far away, a single column."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3000, 5)) @ rng.normal(size=(5, 5))
    compare("scales", x * [1, 1e5, 1e-3, 1e8, 10],
            {"k": 3, "scale": "none"},
            load_array("project", x * [1, 1e5, 1e-3, 1e8, 10]), "project")
    x[1234, 2] = 1e7
    columns = load_array("project", x)
    compare("outlier", x, {"k": 3, "scale": "none"}, columns, "project")
    compare("outlier, z-scored", StandardScaler().fit_transform(x), {"k": 3},
            columns, "project")
    z = StandardScaler().fit_transform(x)
    z[:, 1] *= np.sqrt(3)
    compare("feature weights", z, {"k": 3, "weights": {"x2": 3}}, columns,
            "project")
    x = rng.normal(size=(500, 1))
    compare("one column", StandardScaler().fit_transform(x), {"k": 3},
            load_array("project", x), "project")


def one_hot(column, weigh):
    encoder = OneHotEncoder(categories=[sorted(set(column))])
    one = encoder.fit_transform(np.array(column)[:, None]).toarray()
    share = one.mean(0)
    return one / np.sqrt(1 - (share ** 2).sum()) if weigh else one


def check_categories():
    rng = np.random.default_rng(8)
    n = 2500
    city = rng.choice(["Berlin", "Oslo", "Rome", "Vienna"], n,
                      p=[.5, .3, .15, .05])
    gender = np.where(rng.random(n) < .3 + .4 * (city == "Rome"), "f", "m")
    age = rng.normal(40, 12, n) + 8 * (city == "Oslo")
    spent = rng.lognormal(3, 1, n) * (1 + (gender == "f"))
    load("project", "id int, city text, age float8, gender text, spent float8",
         zip(range(n), city, age.tolist(), gender, spent.tolist()))
    numbers = np.c_[age, spent]
    for scale, scaler in (("zscore", StandardScaler()),
                          ("minmax", MinMaxScaler())):
        z = np.c_[scaler.fit_transform(numbers),
                  one_hot(city, scale == "zscore"),
                  one_hot(gender, scale == "zscore")]
        compare(f"categories, {scale}", z, {"k": 4, "scale": scale},
                "city, age, gender, spent", "project")
    compare("categories alone", np.c_[one_hot(city, True),
                                      one_hot(gender, True)],
            {"k": 3}, "city, gender", "project")


check_mall()
check_sets()
check_scales()
check_categories()
finish()
