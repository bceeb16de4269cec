"""kseg against itself: with workers, beyond its memory, with ten times the
rows, and on several machines' worth of servers."""
import os
import re
import subprocess

import numpy as np
import psycopg2

from measure import (COLUMNS, FEATURES, LONG, ROWS, SERIAL, SHORT, Missing,
                     Session, in_turn, median, say, timed)
from sqlpeers import Z, make_scaled, start_rows

HERE = os.path.dirname(os.path.abspath(__file__))
MADE = re.compile(r"kseg: made .* in ([0-9]+) iterations .* in ([0-9.]+) ms")


def given_start(k, iterations, start):
    """A fit of bench_z that only iterates: no scaling, no search."""
    return (f"SELECT kseg_fit('{{\"k\": {k}, \"scale\": \"none\", "
            f"\"max_iter\": {iterations}, \"init\": {start!r}}}'::jsonb,"
            f" {', '.join(Z)}) FROM ")


def iterations_of(session, model):
    return session.one("SELECT iterations FROM kseg_info(%s)", model)


def lloyd(session, fit):
    """Milliseconds of a fit after reading and sampling, and its
    iterations."""
    found = MADE.search(session.messages(fit))
    return float(found.group(2)), int(found.group(1))


# ---- workers ----

def run_workers(report):
    """k = 8, up to 100 iterations from given rows."""
    # a single fit with k = 8 has workers for its search only, unless told
    sessions = {n: Session(max_parallel_workers_per_gather=0,
                           max_parallel_maintenance_workers=n,
                           **{"kseg.parallel_min_work": 0})
                for n in (0, 1, 2)}
    make_scaled(sessions[0])
    fit = given_start(8, 100, start_rows(sessions[0], 8)) + "bench_z"
    search = f"SELECT kseg_fit(8, {COLUMNS}) FROM bench"
    calls = {}
    for n, session in sessions.items():
        calls[f"Lloyd, {n} workers"] = lambda s=session: lloyd(s, fit)
    for n, session in sessions.items():
        calls[f"the whole fit, {n} workers"] = lambda s=session: s.ms(fit)
    for n, session in sessions.items():
        calls[f"default search, {n} workers"] = lambda s=session: s.ms(search)
    lloyd(sessions[0], fit)
    times, last = in_turn(SHORT, calls)
    report.ratio("Lloyd, one process / two (1 worker beside the backend)",
                 times["Lloyd, 0 workers"], times["Lloyd, 1 workers"],
                 ">= 1.7")
    for n in 1, 2:
        report.ratio(f"the whole fit, no workers / {n} allowed",
                     times["the whole fit, 0 workers"],
                     times[f"the whole fit, {n} workers"])
    report.ratio("kseg_fit, default search, no workers / 2 allowed",
                 times["default search, 0 workers"],
                 times["default search, 2 workers"])
    report.all_times(times)
    report.note(f"Iterations: {last['Lloyd, 0 workers']}. \"Lloyd\" is the "
                "part of the fit after reading and sampling; reading is one "
                "process's whatever the number of workers.")


# ---- spill ----

def per_pass(session, fit, few=4, many=24, repetitions=3):
    """Milliseconds of one pass: what more iterations cost, by pass.
    fit(iterations) is the statement; reading the rows, which takes as long
    as many passes, is not in it."""
    ms = {few: [], many: []}
    done = {}
    for _ in range(repetitions):
        for iterations in few, many:
            time, done[iterations] = lloyd(session, fit(iterations))
            ms[iterations].append(time)
    if done[many] <= done[few]:
        raise Missing("it converged too soon to tell the time of a pass")
    return (median(ms[many]) - median(ms[few])) / (done[many] - done[few])


def run_spill(report):
    """kseg.work_mem an eighth of the rows against all of them."""
    small = max(1, ROWS * len(FEATURES) * 8 // 8 // 1024 ** 2)
    memory = Session(**SERIAL, **{"kseg.work_mem": "4GB"})
    spilled = Session(**SERIAL, **{"kseg.work_mem": f"{small}MB"})
    make_scaled(memory)
    start = start_rows(memory, 8)

    def fit(iterations):
        return given_start(8, iterations, start) + "bench_z"

    whole = fit(20)
    try:
        spilled.run(whole)
    except psycopg2.Error as error:
        raise Missing("this kseg does not spill: "
                      f"{str(error).splitlines()[0]}") from None
    times, _ = in_turn(LONG, {
        "one pass in memory":
            lambda: per_pass(memory, fit),
        "one pass spilled":
            lambda: per_pass(spilled, fit),
        "a fit of 20 iterations in memory": lambda: memory.ms(whole),
        "the same spilled": lambda: spilled.ms(whole)})
    report.ratio("a spilled pass / a pass in memory",
                 times["one pass spilled"], times["one pass in memory"],
                 "<= 3")
    report.ratio("a fit of 20 iterations, spilled / in memory",
                 times["the same spilled"],
                 times["a fit of 20 iterations in memory"])
    report.all_times(times)
    report.note(f"kseg.work_mem is {small} MB for {ROWS:,} rows of "
                f"{len(FEATURES)} features, an eighth of the numbers' size, "
                "against 4 GB. A pass is a twentieth of the time that 24 "
                "iterations take more than 4.")


# ---- ten times the rows ----

def back_memory(size):
    """Write to so many bytes of memory once, and give them back.  A virtual
    machine gets memory from its host when it is first written to, which takes
    ten times as long as to write to it again, and a million rows find memory
    that earlier sections have used."""
    np.ones(size // 8)


def run_rows(report):
    """The table ten times over, each copy a little different."""
    session = Session(**SERIAL, **{"kseg.work_mem": "8GB"})
    session.run("DROP TABLE IF EXISTS bench_large")
    say(f"making {10 * ROWS} rows")
    # eight columns, so that the rows are as wide as bench's
    session.run(
        "CREATE TABLE bench_large AS SELECT id, age, visits, recency, "
        "income + 100 * copy AS income, basket * (1 + 0.001 * copy) AS "
        "basket, discount + 0.0001 * copy AS discount, monetary, score, "
        "segment FROM generate_series(0, 9) AS copy, bench")
    session.run("VACUUM (FREEZE, ANALYZE) bench_large")
    options = "'{\"k\": 5, \"n_init\": 1}'::jsonb"
    calls = {}
    for name, call in (("default search", "5"), ("n_init 1", options)):
        for table in "bench", "bench_large":
            rows = ROWS if table == "bench" else 10 * ROWS
            sql = f"SELECT kseg_fit({call}, {COLUMNS}) FROM {table}"
            calls[f"kseg_fit, {name}, {rows:,} rows"] = (
                lambda sql=sql: timed(session.one, sql))
    session.run("SELECT count(*) FROM bench_large")
    # a fit takes little more than twice what the numbers take
    back_memory(3 * 10 * ROWS * len(FEATURES) * 8)
    times, last = in_turn(LONG, calls)
    session.run("DROP TABLE bench_large")
    for name in "default search", "n_init 1":
        report.ratio(f"kseg_fit, {name}, ten times the rows",
                     times[f"kseg_fit, {name}, {10 * ROWS:,} rows"],
                     times[f"kseg_fit, {name}, {ROWS:,} rows"], "<= 10.5")
    report.all_times(times)
    report.note("Iterations over all rows: " + ", ".join(
        f"{label} {iterations_of(session, model)}"
        for label, model in last.items()) + ".")


# ---- pushdown ----

class Citus:
    """A coordinator and two workers, by test/citus.sh, for as long as the
    command that it runs reads its input."""

    def __init__(self):
        self.process = subprocess.Popen(
            [os.path.join(HERE, "..", "citus.sh"), "-c", "shared_buffers=1GB",
             "-c", "max_wal_size=8GB", "sh", "-c", "echo port $PGPORT; cat"],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for line in self.process.stdout:
            if line.startswith("port "):
                self.port = int(line.split()[1])
                return
        self.process.wait()
        raise Missing("Citus is not here")

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

    def session(self, **settings):
        return Session(host="127.0.0.1", port=self.port, **settings)

    def fill(self, columns):
        """bench_z twice: in eight shards, and as a plain table."""
        session = self.session()
        session.run("SET citus.shard_count = 8")
        for table in "bench_z", "bench_local":
            session.run(f"CREATE TABLE {table} (id int, " + ", ".join(
                f"{name} float8" for name in columns) + ")")
        session.run("SELECT create_distributed_table('bench_z', 'id')")
        for table in "bench_z", "bench_local":
            out = subprocess.Popen(
                ["psql", "-X", "-q", "-c",
                 "COPY bench_z TO STDOUT (FORMAT binary)"],
                stdout=subprocess.PIPE)
            subprocess.run(
                ["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port),
                 "-c", f"COPY {table} FROM STDIN (FORMAT binary)"],
                stdin=out.stdout, check=True)
            out.wait()
            session.run(f"VACUUM (FREEZE, ANALYZE) {table}")


def run_pushdown(report):
    """One pass over eight shards of a Citus cluster on this machine, against
    the same pass over a plain table, both pushed down."""
    local = Session()
    if not (os.path.exists(os.path.join(HERE, "..", "citus.sh")) and
            local.run("SELECT name FROM pg_available_extensions WHERE name = "
                      "'citus'")):
        raise Missing("Citus is not here")
    make_scaled(local)
    start = start_rows(local, 8)
    citus = Citus()
    try:
        citus.fill(Z)
        session = citus.session()

        def fit(table, engine):
            options = ("{{\"scale\": \"none\", \"engine\": \"%s\", "
                       "\"init\": %s, \"max_iter\": {}}}" % (engine, start))
            return lambda iterations: (
                f"SELECT kseg_fit('SELECT {', '.join(Z)} FROM {table}', 8, "
                f"'{options.format(iterations)}'::jsonb)")

        times, _ = in_turn(LONG, {
            "one pass, Citus, 8 shards": lambda: per_pass(
                session, fit("bench_z", "pushdown")),
            "one pass, a plain table, pushed down": lambda: per_pass(
                session, fit("bench_local", "pushdown")),
            "one pass in memory": lambda: per_pass(
                session, fit("bench_local", "memory"))})
    except psycopg2.Error as error:
        raise Missing(str(error).splitlines()[0]) from None
    finally:
        citus.stop()
    report.ratio("a pass over 8 shards / the same over a plain table",
                 times["one pass, Citus, 8 shards"],
                 times["one pass, a plain table, pushed down"], "<= 1.4")
    report.ratio("a pass pushed down / in memory, plain table",
                 times["one pass, a plain table, pushed down"],
                 times["one pass in memory"])
    report.all_times(times)
