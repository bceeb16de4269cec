"""From the table to the model, beside the aggregates that read the same
columns and beside the usual Python job; scoring; applying."""
import os
import re

from measure import (COLUMNS, FEATURES, LONG, ROWS, SERIAL, SHORT, Session,
                     features, in_turn, median, timed)

MODEL = f"SELECT kseg_fit(5, {COLUMNS}) FROM bench"
ONE_CHAIN = ("SELECT kseg_fit('{\"k\": 5, \"n_init\": 1}'::jsonb, "
             f"{COLUMNS}) FROM bench")
AVERAGES = ("SELECT " + ", ".join(f"avg({name})" for name in FEATURES) +
            " FROM bench")
INERTIA = "SELECT inertia FROM kseg_info(%s)"


def read_ms(session, sql):
    return float(re.search(r"kseg: read .* in ([0-9.]+) ms",
                           session.messages(sql)).group(1))


def python_job(session, n_init, seed):
    """Binary COPY of float8 columns, StandardScaler, KMeans: its inertia."""
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler
    z = StandardScaler().fit_transform(features(session))
    return KMeans(5, n_init=n_init, random_state=seed).fit(z).inertia_


def run_table(report):
    """Table to model."""
    from threadpoolctl import threadpool_limits
    serial = Session(**SERIAL)
    free = Session()
    seeds = iter(range(1000))

    def job(n_init):
        with threadpool_limits(2):
            return timed(python_job, free, n_init, next(seeds))

    calls = {
        "count(*), the plain scan":
            lambda: serial.ms("SELECT count(*) FROM bench"),
        "count(score), a scan that reads the columns":
            lambda: serial.ms("SELECT count(score) FROM bench"),
        "eight avg": lambda: serial.ms(AVERAGES),
        "kseg_fit: reading the rows": lambda: read_ms(serial, ONE_CHAIN),
        "kseg_fit, n_init 1": lambda: serial.ms(ONE_CHAIN),
        "kseg_fit, default search": lambda: serial.ms(MODEL),
        "count(kseg_predict), k = 8": lambda: serial.ms(
            "SELECT count(kseg_predict(%s, " + COLUMNS + ")) FROM bench",
            model8),
        "kseg_fit, n_init 1, workers allowed":
            lambda: timed(free.one, ONE_CHAIN),
        "kseg_fit, default search, workers allowed":
            lambda: timed(free.one, MODEL),
        "COPY + scale + KMeans(n_init=1)": lambda: job(1),
        "COPY + scale + KMeans(n_init=10)": (lambda: job(10), LONG),
    }
    model8 = serial.one(f"SELECT kseg_fit(8, {COLUMNS}) FROM bench")
    python_job(free, 1, 0)
    times, last = in_turn(SHORT, calls)

    ours = {label: free.one(INERTIA, last[label]) for label in
            ("kseg_fit, n_init 1, workers allowed",
             "kseg_fit, default search, workers allowed")}
    report.ratio("COPY + scale + KMeans(n_init=1) / kseg_fit, n_init 1",
                 times["COPY + scale + KMeans(n_init=1)"],
                 times["kseg_fit, n_init 1, workers allowed"], ">= 5")
    report.ratio("COPY + scale + KMeans(n_init=10) / kseg_fit, default search",
                 times["COPY + scale + KMeans(n_init=10)"],
                 times["kseg_fit, default search, workers allowed"], ">= 10")
    better = 100 * (ours["kseg_fit, default search, workers allowed"] /
                    last["COPY + scale + KMeans(n_init=10)"] - 1)
    report.figure("its inertia against theirs, %", better, "<= 1e-07",
                  digits=7)
    for label, target in (("kseg_fit, n_init 1", "<= 1.8"),
                          ("kseg_fit, default search", "<= 2.5"),
                          ("kseg_fit: reading the rows", "<= 1.0")):
        report.ratio(f"{label} / eight avg", times[label],
                     times["eight avg"], target)
    for scan, label in (("a plain scan", "count(*), the plain scan"),
                        ("a scan that reads the columns",
                         "count(score), a scan that reads the columns")):
        longer = [(a - b) * 1e6 / ROWS for a, b in
                  zip(times["count(kseg_predict), k = 8"], times[label])]
        report.figure(f"kseg_predict, k = 8, over {scan}, ns a row",
                      median(longer), "<= 70", 1,
                      f"{min(longer):.1f} .. {max(longer):.1f}")
    report.all_times(times)
    report.note("Inertias: kseg_fit with n_init 1 %.2f, default search %.2f; "
                "KMeans with n_init=1 %.2f (one seed's), n_init=10 %.2f." % (
                    ours["kseg_fit, n_init 1, workers allowed"],
                    ours["kseg_fit, default search, workers allowed"],
                    last["COPY + scale + KMeans(n_init=1)"],
                    last["COPY + scale + KMeans(n_init=10)"]))


def own_memory(session):
    """The most that this backend has had of its own, in bytes: its resident
    memory but for shared buffers."""
    pid = session.one("SELECT pg_backend_pid()")
    with open(f"/proc/{pid}/status") as status:
        kb = {line.split()[0]: line.split()[1] for line in status
              if line.startswith(("VmHWM:", "RssShmem:"))}
    return 1024 * (int(kb["VmHWM:"]) - int(kb["RssShmem:"]))


def run_apply(report):
    """Writing segments back, and a fit's memory."""
    session = Session(**SERIAL)
    model = session.one(MODEL)
    times = {name: [] for name in (
        "UPDATE SET segment = 1", "kseg_apply, every row changes",
        "count(*), the plain scan", "kseg_apply, no row changes")}
    for _ in range(LONG):
        # fresh copies, so that no round pays for the rows of another
        session.run("DROP TABLE IF EXISTS bench_plain, bench_apply")
        for table in "bench_plain", "bench_apply":
            session.run(f"CREATE TABLE {table} AS SELECT * FROM bench")
            session.run(f"VACUUM (FREEZE, ANALYZE) {table}")
        session.run("CHECKPOINT")
        times["UPDATE SET segment = 1"].append(
            session.ms("UPDATE bench_plain SET segment = 1"))
        session.run("CHECKPOINT")
        apply = "SELECT * FROM kseg_apply(%s, 'bench_apply', 'segment')"
        times["kseg_apply, every row changes"].append(
            session.ms(apply, model))
        session.run("VACUUM (FULL, FREEZE) bench_apply")
        session.run("SELECT count(*) FROM bench_apply")
        times["count(*), the plain scan"].append(
            session.ms("SELECT count(*) FROM bench_apply"))
        times["kseg_apply, no row changes"].append(session.ms(apply, model))
    session.run("DROP TABLE bench_plain, bench_apply")

    other = Session(**SERIAL)
    other.run(MODEL)
    if os.path.exists("/proc/self/status"):
        memory = own_memory(other) / (8 * ROWS * len(FEATURES))
    else:
        memory = None
    report.ratio("kseg_apply, every row changes / UPDATE SET segment = 1",
                 times["kseg_apply, every row changes"],
                 times["UPDATE SET segment = 1"], "<= 1.15")
    report.ratio("kseg_apply, no row changes / the plain scan",
                 times["kseg_apply, no row changes"],
                 times["count(*), the plain scan"], "<= 3")
    if memory is not None:
        report.figure("memory of a fit's backend / (rows x features x 8 "
                      "bytes)", memory, "<= 1.6")
    report.all_times(times)
