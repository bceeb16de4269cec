"""Other ways to cluster inside PostgreSQL: PostGIS, kmeans-postgresql,
PL/Python with scikit-learn, and plain SQL.

All but PL/Python read bench_z, whose columns are scaled already, so that
everybody solves the same problem; where the other gives every row its
segment, kseg does too (kseg_cluster).
"""
import os

import psycopg2

from measure import (COLUMNS, FEATURES, LONG, PEERS, Missing, Session,
                     in_turn, say, timed)

Z = [f"z{i}" for i in range(1, len(FEATURES) + 1)]
INERTIA = ("SELECT sum(part) FROM (SELECT count(*) * ({}) AS part "
           "FROM bench_found GROUP BY segment) AS parts")


def make_scaled(session):
    """bench_z: the features of bench, z-scored, as float8."""
    if session.one("SELECT to_regclass('bench_z')") is not None:
        return
    sums = ", ".join(f"avg({name}::float8) AS m{i}, "
                     f"stddev_pop({name}::float8) AS s{i}"
                     for i, name in enumerate(FEATURES, 1))
    columns = ", ".join(f"({name}::float8 - m{i}) / s{i} AS z{i}"
                        for i, name in enumerate(FEATURES, 1))
    session.run(f"CREATE TABLE bench_z AS SELECT id, {columns} FROM bench, "
                f"(SELECT {sums} FROM bench) AS s")
    session.run("VACUUM (FREEZE, ANALYZE) bench_z")


def start_rows(session, k, width=len(FEATURES)):
    """Start centers for those who take them: rows that are far apart in the
    table, hence any."""
    return [list(row) for row in session.run(
        f"SELECT {', '.join(Z[:width])} FROM bench_z WHERE id IN (SELECT 1 + "
        "i * (SELECT count(*) / %s FROM bench_z) FROM generate_series(0, "
        "%s - 1) AS i) ORDER BY id", k, k)]


def inertia(session, segments, columns):
    """Of what a query with one column, segment, and the given ones finds."""
    session.run("CREATE TEMP TABLE bench_found AS " + segments)
    value = session.one(INERTIA.format(
        " + ".join(f"var_pop({name})" for name in columns)))
    session.run("DROP TABLE bench_found")
    return float(value)


def counted(expression, table="bench_z"):
    """A query that has to find every row's segment and hands over none."""
    return (f"SELECT count(segment) FROM (SELECT {expression} OVER () AS "
            f"segment FROM {table}) AS s")


def segments_of(expression, columns, table="bench_z"):
    return (f"SELECT {expression} OVER () AS segment, {', '.join(columns)} "
            f"FROM {table}")


def compare(report, session, name, theirs, ours, columns, targets,
            table="bench_z"):
    """Their window function against kseg's, which stand by label: times, and
    inertias."""
    calls = {name: theirs, **{f"{label}, against {name}": call
                              for label, call in ours.items()}}
    times, _ = in_turn(LONG, {
        label: lambda call=call: session.ms(counted(call, table))
        for label, call in calls.items()})
    ends = {label: inertia(session, segments_of(call, columns, table),
                           columns) for label, call in calls.items()}
    for label in ours:
        report.ratio(f"{name} / {label}", times[name],
                     times[f"{label}, against {name}"], targets.get(label),
                     1)
    report.all_times(times)
    report.note("Inertias: " + "; ".join(
        f"{label} {value:.4f}" for label, value in ends.items()) + ".")


def kseg_call(options, columns):
    return (f"kseg_cluster('{options}'::jsonb, " + ", ".join(columns) + ")")


# ---- each of them ----

def postgis(report, session):
    """ST_ClusterKMeans starts once, from rows of its own choice; so what
    compares is kseg with one chain.  Its points are ready made."""
    try:
        session.run("CREATE EXTENSION IF NOT EXISTS postgis")
    except psycopg2.Error:
        raise Missing("PostGIS is not here (Debian: postgresql-15-postgis-3)"
                      ) from None
    # income, basket and discount: numbers that vary continuously, as
    # coordinates do
    columns = Z[3:6]
    session.run("DROP TABLE IF EXISTS bench_points")
    session.run("CREATE TABLE bench_points AS SELECT " + ", ".join(columns) +
                f", ST_MakePoint({', '.join(columns[:2])}) AS p2, "
                f"ST_MakePoint({', '.join(columns)}) AS p3 FROM bench_z")
    session.run("VACUUM (FREEZE, ANALYZE) bench_points")
    for width, target in (2, ">= 6"), (3, None):
        these = columns[:width]
        compare(report, session, f"ST_ClusterKMeans, {width} features, k = 5",
                f"ST_ClusterKMeans(p{width}, 5)",
                {"kseg_cluster, n_init 1": kseg_call(
                    '{"k": 5, "n_init": 1, "scale": "none"}', these),
                 "kseg_cluster, default search": kseg_call(
                     '{"k": 5, "scale": "none"}', these)},
                these, {"kseg_cluster, n_init 1": target}, "bench_points")
    session.run("DROP TABLE bench_points")


def kmeans_postgresql(report, session):
    path = os.path.join(PEERS, "kmeans-postgresql", "kmeans")
    if not PEERS or not os.path.exists(path + ".so"):
        raise Missing("kmeans-postgresql is not in BENCH_PEERS")
    session.run("CREATE OR REPLACE FUNCTION kmeans(float[], int, float[]) "
                f"RETURNS int AS '{path}', 'kmeans_with_init' "
                "LANGUAGE C IMMUTABLE STRICT WINDOW")
    start = start_rows(session, 5)
    flat = "ARRAY[" + ", ".join(
        f"{value!r}::float8" for row in start for value in row) + "]"
    compare(report, session, "kmeans-postgresql, 8 features, k = 5",
            f"kmeans(ARRAY[{', '.join(Z)}], 5, {flat})",
            {"kseg_cluster, the same start": kseg_call(
                '{"k": 5, "scale": "none", "max_iter": 100000, '
                f'"init": {start!r}}}', Z)},
            Z, {"kseg_cluster, the same start": ">= 4"})


PL_ROWS = """
CREATE OR REPLACE FUNCTION bench_pl_rows(query text, k int) RETURNS float8
LANGUAGE plpython3u AS $$
import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
x = np.array([list(row.values()) for row in plpy.cursor(query)], float)
z = StandardScaler().fit_transform(x)
return KMeans(k, n_init=1, random_state=0).fit(z).inertia_
$$"""

PL_BYTES = """
CREATE OR REPLACE FUNCTION bench_pl_bytes(query text, k int) RETURNS float8
LANGUAGE plpython3u AS $$
import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler
columns = plpy.execute(query)[0]
x = np.stack([np.frombuffer(column, ">f8") for column in columns.values()],
             axis=1).astype(float)
z = StandardScaler().fit_transform(x)
return KMeans(k, n_init=1, random_state=0).fit(z).inertia_
$$"""


def plpython(report, session):
    """An untrusted language: only a superuser can make such functions."""
    try:
        session.run("CREATE EXTENSION IF NOT EXISTS plpython3u")
        session.run(PL_ROWS)
        session.run(PL_BYTES)
    except psycopg2.Error:
        raise Missing("PL/Python is not here (Debian: "
                      "postgresql-plpython3-15)") from None
    rows = ("SELECT " + ", ".join(f"{name}::float8" for name in FEATURES) +
            " FROM bench")
    packed = "SELECT " + ", ".join(
        f"string_agg(float8send({name}::float8), '') AS {name}"
        for name in FEATURES) + " FROM bench"
    fit = ("SELECT inertia FROM kseg_info((SELECT kseg_fit('{\"k\": 5, "
           f"\"n_init\": 1}}'::jsonb, {COLUMNS}) FROM bench))")
    call = "SELECT bench_pl_{}(%s, 5)"
    # so that imports are not counted
    session.run(call.format("bytes"), packed + " WHERE id <= 1000")
    times, last = in_turn(LONG, {
        "PL/Python, rows by plpy.cursor":
            lambda: timed(session.one, call.format("rows"), rows),
        "PL/Python, columns by string_agg(float8send())":
            lambda: timed(session.one, call.format("bytes"), packed),
        "kseg_fit, n_init 1, against PL/Python":
            lambda: timed(session.one, fit)})
    ours = times["kseg_fit, n_init 1, against PL/Python"]
    report.ratio("PL/Python + KMeans(n_init=1), rows by plpy.cursor / "
                 "kseg_fit, n_init 1",
                 times["PL/Python, rows by plpy.cursor"], ours, ">= 6", 1)
    report.ratio("the same, columns packed by string_agg(float8send())",
                 times["PL/Python, columns by string_agg(float8send())"],
                 ours, None, 1)
    report.all_times(times)


def plain_sql(report, session):
    """One step of Lloyd's iteration as a query: nearest center by a lateral
    subquery, means by avg.  A whole k-means is as many of them as there are
    iterations, and a place to keep the centers."""
    start = start_rows(session, 5)
    session.run("DROP TABLE IF EXISTS bench_centers")
    session.run("CREATE TABLE bench_centers AS SELECT row_number() OVER () "
                "AS segment, z.* FROM bench_z AS z WHERE false")
    names = ", ".join(Z)
    for i, row in enumerate(start):
        session.run(f"INSERT INTO bench_centers (segment, {names}) VALUES ("
                    + ", ".join(["%s"] * (1 + len(Z))) + ")", i, *row)
    session.run("ANALYZE bench_centers")
    distance = " + ".join(f"(r.{z} - c.{z}) * (r.{z} - c.{z})" for z in Z)
    means = ", ".join(f"avg(r.{z})" for z in Z)
    step = ("SELECT n.segment, count(*), " + means + " FROM bench_z AS r, "
            "LATERAL (SELECT c.segment FROM bench_centers AS c ORDER BY "
            f"{distance} LIMIT 1) AS n GROUP BY n.segment")
    fit = ("SELECT kseg_fit('{\"k\": 5, \"scale\": \"none\", \"max_iter\": "
           f"100000, \"init\": {start!r}}}'::jsonb, {names}) FROM bench_z")
    times, last = in_turn(LONG, {
        "plain SQL, one step": lambda: session.ms(step),
        "kseg_fit to convergence, given start":
            lambda: timed(session.one, fit)})
    model = last["kseg_fit to convergence, given start"]
    iterations = session.one("SELECT iterations FROM kseg_info(%s)", model)
    report.ratio("one step in plain SQL / the whole kseg_fit of "
                 f"{iterations} iterations, given start, k = 5",
                 times["plain SQL, one step"],
                 times["kseg_fit to convergence, given start"], None, 1)
    report.all_times(times)
    session.run("DROP TABLE bench_centers")


def run(report):
    """Inside the server."""
    session = Session(work_mem="1GB")
    make_scaled(session)
    for peer in postgis, kmeans_postgresql, plpython, plain_sql:
        say(peer.__name__)
        try:
            peer(report, session)
        except Missing as reason:
            say(f"skipped: {reason}")
            report.note(f"Skipped: {reason}.")
