"""A night beside the usual Python job: the same customers, the same changes,
the same run.

Before each night 1 % of the customers get other features, the same in both
tables, and both are vacuumed.  Then kseg_run() is timed from the call to the
end of COMMIT, and the job from its first statement to the end of COMMIT.  The
job's process is there, with its imports, its connection and its model in
memory: what cron would make it start with is not counted.

The job does what a careful analyst would: binary COPY with every column as
float8, so that a buffer of records is a matrix without parsing; one
transaction; only changed rows are written; after a refit the new segments
take the ids of the old ones that they are nearest to, since otherwise most
rows would change.
"""
import io
import os

import numpy as np
import psycopg2
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from measure import FEATURES, HEADER, TRAILER, Missing, median, say, timed

SEGMENTS = 5
SCORES = int(os.environ.get("BENCH_NIGHTS", 5))
REFITS = int(os.environ.get("BENCH_REFITS", 3))

# what binary COPY sends and takes: numbers of fields and bytes between them
READ = np.dtype([("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4")] +
                [item for name in FEATURES
                 for item in ((name + "_bytes", ">i4"), (name, ">f8"))])
WRITE = np.dtype([("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"),
                  ("segment_bytes", ">i4"), ("segment", ">i4")])


class Job:
    """The usual Python job over a table."""

    def __init__(self, connection, table):
        self.connection = connection
        self.table = table
        self.scaler = None
        self.kmeans = None
        self.ids = None

    def read(self, cursor):
        columns = ", ".join(f"{name}::float8" for name in FEATURES)
        buffer = io.BytesIO()
        cursor.copy_expert(f"COPY (SELECT id, {columns} FROM {self.table}) "
                           "TO STDOUT (FORMAT binary)", buffer)
        rows = np.frombuffer(
            buffer.getbuffer()[len(HEADER):-len(TRAILER)], READ)
        x = np.empty((len(rows), len(FEATURES)))
        for i, name in enumerate(FEATURES):
            x[:, i] = rows[name]
        return rows["id"], x

    def write(self, cursor, ids, segments):
        out = np.empty(len(ids), WRITE)
        out["fields"] = 2
        out["id_bytes"] = out["segment_bytes"] = 4
        out["id"] = ids
        out["segment"] = segments
        cursor.execute("CREATE TEMPORARY TABLE scored (id int, segment int) "
                       "ON COMMIT DROP")
        cursor.copy_expert(
            "COPY scored FROM STDIN (FORMAT binary)",
            io.BytesIO(HEADER + out.tobytes() + TRAILER), 1 << 20)
        cursor.execute("ANALYZE scored")
        cursor.execute(f"UPDATE {self.table} AS t SET segment = s.segment "
                       "FROM scored AS s WHERE t.id = s.id "
                       "AND t.segment IS DISTINCT FROM s.segment")
        return cursor.rowcount

    def score(self, x):
        return self.ids[self.kmeans.predict(self.scaler.transform(x))]

    def refit(self, x):
        scaler = StandardScaler()
        z = scaler.fit_transform(x)
        kmeans = KMeans(SEGMENTS, n_init=10, random_state=0).fit(z)
        ids = np.arange(1, SEGMENTS + 1, dtype=np.int32)
        if self.kmeans is not None:
            then = self.scaler.inverse_transform(self.kmeans.cluster_centers_)
            now = scaler.inverse_transform(kmeans.cluster_centers_)
            apart = (now[:, None] - then[None]) / scaler.scale_
            new, old = linear_sum_assignment((apart ** 2).sum(axis=2))
            ids = ids.copy()
            ids[new] = self.ids[old]
        self.scaler, self.kmeans, self.ids = scaler, kmeans, ids
        return ids[kmeans.labels_]

    def run(self, mode):
        with self.connection, self.connection.cursor() as cursor:
            ids, x = self.read(cursor)
            segments = self.refit(x) if mode == "refit" else self.score(x)
            changed = self.write(cursor, ids, segments)
        return changed


class Kseg:
    """kseg_run() over a table."""

    def __init__(self, connection, table):
        self.connection = connection
        self.name = table

    def create(self):
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM kseg_create(%s, %s, 'id', %s, target => %s)",
                (self.name, f"SELECT id, {', '.join(FEATURES)} "
                 f"FROM {self.name}", SEGMENTS, self.name))

    def run(self, mode):
        with self.connection, self.connection.cursor() as cursor:
            cursor.execute("SELECT action, changed + new + gone, reason "
                           "FROM kseg_run(%s, %s)", (self.name, mode))
            action, changed, reason = cursor.fetchone()
        if action != mode:
            raise Missing(f"kseg_run did not {mode} but {action}: {reason}")
        return changed


def connect():
    # hashing a million rows needs memory; compiling plans does not pay
    return psycopg2.connect(options="-c work_mem=256MB -c jit=off")


def prepare(connection, night, *tables):
    """The day before a night: 1 % of the customers become like others."""
    columns = ", ".join(FEATURES)
    others = ", ".join(f"o.{name}" for name in FEATURES)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(
                f"UPDATE {table} AS t SET ({columns}) = ROW({others}) "
                "FROM bench AS o WHERE o.id = 1 + (t.id::bigint * 7919 + "
                "%s * 104729) %% (SELECT count(*) FROM bench) AND "
                "(hashint8extended(t.id, %s) & 1048575) %% 100 = 0",
                (night, night))
            cursor.execute(f"VACUUM (ANALYZE) {table}")
        # what autovacuum has done by the next night
        cursor.execute("VACUUM (ANALYZE) kseg_history")
        cursor.execute("CHECKPOINT")


def make(connection, table):
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} AS SELECT * FROM bench")
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        cursor.execute(f"VACUUM (FREEZE, ANALYZE) {table}")


def run(report):
    """A night, as the usual job does it and as kseg_run() does."""
    admin = connect()
    make(admin, "night_kseg")
    make(admin, "night_python")
    kseg = Kseg(connect(), "night_kseg")
    kseg.create()
    job = Job(connect(), "night_python")
    kseg.run("refit")
    job.run("refit")

    night = 0
    written = []
    for mode, nights, target in (("score", SCORES, ">= 5"),
                                 ("refit", REFITS, ">= 10")):
        ours, theirs = [], []
        for i in range(nights):
            night += 1
            prepare(admin, night, "night_kseg", "night_python")
            # in turn, so that neither always comes to warmer caches
            sides = [(theirs, job.run), (ours, kseg.run)]
            for times, call in reversed(sides) if i % 2 else sides:
                times.append(timed(call, mode))
            say(f"night {night}, {mode}: kseg_run {ours[-1][0]:.0f} ms, "
                f"{ours[-1][1]} rows; Python {theirs[-1][0]:.0f} ms, "
                f"{theirs[-1][1]} rows")
        apart = (sum(n for _, n in ours) /
                 max(1, sum(n for _, n in theirs)))
        if mode == "score" and not 0.9 < apart < 1.1:
            raise Missing("they did not do the same work")
        report.ratio(f"Python job / kseg_run, {mode}",
                     [t for t, _ in theirs], [t for t, _ in ours], target, 1)
        report.time(f"kseg_run, {mode}", [t for t, _ in ours])
        report.time(f"Python job, {mode}", [t for t, _ in theirs])
        written.append(f"{mode}: {median([n for _, n in ours]):.0f} and "
                       f"{median([n for _, n in theirs]):.0f}")
    report.note("Rows written a night, medians, kseg_run and Python: " +
                "; ".join(written) + ".")
