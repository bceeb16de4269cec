#!/usr/bin/python3
"""Measures of quality against sklearn.metrics.

Inertia, silhouette (overall and per segment), Davies-Bouldin,
Calinski-Harabasz and the adjusted Rand index, all to 1e-9 relative, of the
segments that kseg gives, as kseg_evaluate and kseg_elbow measure them.  The data are the mall customers, where they are at
hand, and generated sets.
"""
import json

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.metrics import (adjusted_rand_score, calinski_harabasz_score,
                             davies_bouldin_score, silhouette_samples)
from sklearn.preprocessing import StandardScaler

import datasets
from session import (close, finish, floats, load, load_array, mall, ok, psql,
                     skip)

MEASURES = ("size", "inertia", "silhouette", "davies_bouldin",
            "calinski_harabasz")


def evaluate(query):
    """kseg_evaluate's rows: a dict of measures for each segment, 0 is all."""
    text = psql(f"""SELECT coalesce(json_object_agg(coalesce(segment, 0), e),
        '{{}}') FROM kseg_evaluate((SELECT model FROM quality_model),
        $q${query}$q$) AS e""")
    return {int(s): row for s, row in json.loads(text).items()}


def labels(columns, table):
    return np.array(floats(f"""SELECT kseg_predict(model, {columns})
        FROM {table}, quality_model ORDER BY id"""))[:, 0].astype(int)


def worst_ratios(z, own):
    """What the Davies-Bouldin index is the mean of."""
    segments = np.unique(own)
    centroids = np.array([z[own == s].mean(0) for s in segments])
    spread = np.array([np.linalg.norm(z[own == s] - c, axis=1).mean()
                       for s, c in zip(segments, centroids)])
    apart = np.linalg.norm(centroids[:, None] - centroids, axis=2)
    np.fill_diagonal(apart, np.inf)
    ratios = (spread[:, None] + spread) / apart
    return dict(zip(segments, ratios.max(1)))


def expected(z, own, centers, exact=False):
    """The same from scikit-learn; centers: the model's, row s - 1 of s.

    scikit-learn's own distances come from x.x - 2 x.y + y.y, by which equal
    rows can be 1e-8 apart.  exact: give it distances without that.
    """
    silhouettes = silhouette_samples(cdist(z, z), own, metric="precomputed") \
        if exact else silhouette_samples(z, own)
    ratios = worst_ratios(z, own)
    square = ((z - centers[own - 1]) ** 2).sum(1)
    rows = {0: (len(z), square.sum(), silhouettes.mean(),
                davies_bouldin_score(z, own), calinski_harabasz_score(z, own))}
    for s in np.unique(own):
        at = own == s
        rows[s] = (at.sum(), square[at].sum(), silhouettes[at].mean(),
                   ratios[s], None)
    return rows


def compare(name, found, wanted):
    ok(sorted(found) == sorted(wanted), f"{name}: segments {sorted(found)}")
    for j, measure in enumerate(MEASURES):
        worst = 0.0
        for s, row in wanted.items():
            a, b = found[s][measure], row[j]
            if a is None or b is None:
                worst = max(worst, 0.0 if a == b else np.inf)
            elif not close(a, b):
                worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
        ok(worst == 0, f"{name}: {measure} {found[0][measure]!r}"
           f" against {wanted[0][j]!r}" +
           (f", off by {worst:.1e}" if worst else ""))


def make_model(columns, table, options):
    psql(f"""DROP TABLE IF EXISTS quality_model;
        CREATE TABLE quality_model AS
        SELECT kseg_fit('{json.dumps(options)}'::jsonb, {columns}) AS model
        FROM {table}""")


def means(z, own):
    """Centers of a search that has converged; z: the rows it was made of."""
    return np.array([z[own == s].mean(0) for s in range(1, own.max() + 1)])


def check_mall():
    rows = mall()
    if rows is None:
        skip("mall customers", "shared data are not here")
        return
    x = np.array(rows)[:, 1:]
    columns = load_array("quality", x)
    make_model(columns, "quality", {"k": 5, "scale": "none"})
    own = labels(columns, "quality")
    found = evaluate(f"SELECT {columns} FROM quality")
    compare("mall", found, expected(x, own, means(x, own)))
    ok(close(found[0]["silhouette"], 0.553931997444648),
       f"mall: silhouette {found[0]['silhouette']!r}")


def check_sets():
    for number in (2, 4, 13):
        x, k = datasets.make(number)
        columns = load_array("quality", x)
        for method in ("zscore", "none"):
            z = StandardScaler().fit_transform(x) if method == "zscore" else x
            make_model(columns, "quality", {"k": k, "scale": method})
            own = labels(columns, "quality")
            centers = means(z, own)
            compare(f"set {number} {method}",
                    evaluate(f"SELECT {columns} FROM quality"),
                    expected(z, own, centers, number == 13))
        # other rows than those of the fit
        half = np.arange(len(x)) % 3 == 0
        compare(f"set {number}, a third",
                evaluate(f"SELECT {columns} FROM quality WHERE id % 3 = 0"),
                expected(z[half], own[half], centers))


def check_cosine():
    x, k = datasets.make(4)
    columns = load_array("quality", x)
    make_model(columns, "quality", {"k": k, "distance": "cosine"})
    z = StandardScaler().fit_transform(x)
    z = z / np.linalg.norm(z, axis=1)[:, None]
    own = labels(columns, "quality")
    compare("cosine", evaluate(f"SELECT {columns} FROM quality"),
            expected(z, own, means(z, own)))


def check_categories():
    """Categories, and a value in the query that the fit has not seen."""
    rng = np.random.default_rng(7)
    n = 3000
    city = rng.choice(["Berlin", "Oslo", "Rome", "Vienna"], n,
                      p=[.5, .3, .15, .05])
    age = np.round(rng.normal(40, 12, n) + 8 * (city == "Oslo"), 3)
    load("quality", "id int, age float8, city text",
         zip(range(n), age.tolist(), city))
    make_model("age, city", "quality", {"k": 6})
    own = labels("age, city", "quality")
    names = np.array(["Berlin", "Oslo", "Rome", "Vienna", "Paris"])
    hot = (city[:, None] == names).astype(float)
    hot /= np.sqrt(1 - (hot.mean(0) ** 2).sum())
    z = np.c_[StandardScaler().fit_transform(age[:, None]), hot]
    centers = means(z, own)
    compare("categories", evaluate("SELECT age, city FROM quality"),
            expected(z, own, centers))
    psql("UPDATE quality SET city = 'Paris' WHERE id % 7 = 0")
    moved = np.arange(n) % 7 == 0
    z[moved, 1:] = hot.max() * (names == "Paris")
    compare("unseen category", evaluate("SELECT age, city FROM quality"),
            expected(z, labels("age, city", "quality"), centers))


def elbow(columns, k_min, k_max, options):
    return json.loads(psql(f"""SELECT json_agg(e ORDER BY k) FROM kseg_elbow(
        'SELECT {columns} FROM quality', {k_min}, {k_max},
        '{json.dumps(options)}') AS e"""))


def compare_elbow(name, columns, z, options, exact=False):
    """Each k of an elbow, by the segments that a fit with this k gives."""
    for row in elbow(columns, 1, 8, options):
        k = row["k"]
        make_model(columns, "quality", {"k": k, **options})
        own = labels(columns, "quality")
        # The segments before help an elbow to find other ones than a fit
        # does; with a single k it searches as a fit.
        if not close(row["inertia"], floats("""SELECT i.inertia
                FROM quality_model, kseg_info(model) AS i""")[0][0]):
            row, = elbow(columns, k, k, options)
        if k == 1:
            ok(close(row["inertia"], ((z - z.mean(0)) ** 2).sum()) and
               all(row[m] is None for m in MEASURES[2:]), f"{name} elbow, 1")
            continue
        wanted = dict(zip(MEASURES, expected(z, own, means(z, own), exact)[0]))
        for measure in MEASURES[1:]:
            ok(close(row[measure], wanted[measure]),
               f"{name} elbow, {k}: {measure} {row[measure]!r}"
               f" against {wanted[measure]!r}")


def check_elbow():
    rows = mall()
    if rows is None:
        skip("elbow of the mall customers", "shared data are not here")
    else:
        x = np.array(rows)[:, 1:]
        compare_elbow("mall", load_array("quality", x), x, {"scale": "none"})
    for number in (2, 4, 13):
        x, _ = datasets.make(number)
        z = StandardScaler().fit_transform(x)
        columns = load_array("quality", x)
        compare_elbow(f"set {number}", columns, z, {}, number == 13)
        if number == 4:
            z = z / np.linalg.norm(z, axis=1)[:, None]
            compare_elbow("cosine", columns, z, {"distance": "cosine"})


def check_ari():
    rng = np.random.default_rng(5)
    for name, n, k, noise in (("alike", 5000, 7, 0.1), ("by chance", 900, 4, 1),
                              ("many", 4000, 900, 0.5), ("same", 100, 3, 0)):
        a = rng.integers(0, k, n)
        b = np.where(rng.random(n) < noise, rng.integers(0, k + 1, n), a)
        load("pairs", "a int, b int", zip(a.tolist(), (b * 7 - 3).tolist()))
        found = floats("SELECT kseg_ari(a, b) FROM pairs")[0][0]
        wanted = adjusted_rand_score(a, b)
        ok(abs(found - wanted) < 1e-12 and close(found, wanted),
           f"kseg_ari, {name}: {found!r} against {wanted!r}")


check_mall()
check_sets()
check_cosine()
check_categories()
check_elbow()
check_ari()
finish()
