"""What all sections of the benchmark share: settings from the environment,
connections, timing in turn, and the report.

The rule: a figure is a ratio of two medians that were measured in the same
section of the same run, in turn, so that a drift of the machine's speed
meets both alike.
"""
import io
import os
import statistics
import sys
import time

import numpy as np
import psycopg2

ROWS = int(os.environ.get("BENCH_ROWS", 1000000))
SIMD = os.environ.get("BENCH_SIMD", "auto")
PEERS = os.environ.get("BENCH_PEERS", "")

# repetitions of what takes less than some seconds, and of what takes longer
SHORT = int(os.environ.get("BENCH_ROUNDS", 5))
LONG = min(3, SHORT)

FEATURES = ["age", "visits", "recency", "income", "basket", "discount",
            "monetary", "score"]
COLUMNS = ", ".join(FEATURES)
SERIAL = {"max_parallel_workers_per_gather": 0,
          "max_parallel_maintenance_workers": 0}

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"


class Missing(Exception):
    """What a section needs is not here: it is skipped, and says why."""


# ---- the server ----

class Session:
    """A connection whose statements are timed.  No JIT: compiling plans does
    not pay here, for anybody."""

    def __init__(self, host=None, port=None, **settings):
        settings = {"jit": "off", "client_min_messages": "warning",
                    "kseg.simd": SIMD, **settings}
        self.connection = psycopg2.connect(
            host=host, port=port, options=" ".join(
                f"-c {name}={value}" for name, value in settings.items()))
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()

    def run(self, sql, *values):
        """The rows of a statement; none if it has none to give."""
        self.cursor.execute(sql, values or None)
        return self.cursor.fetchall() if self.cursor.description else []

    def one(self, sql, *values):
        return self.run(sql, *values)[0][0]

    def ms(self, sql, *values):
        return timed(self.run, sql, *values)[0]

    def messages(self, sql, *values):
        """What the server says of the statement at debug1."""
        self.run("SET client_min_messages = debug1")
        del self.connection.notices[:]
        try:
            self.run(sql, *values)
            return "".join(self.connection.notices)
        finally:
            self.run("RESET client_min_messages")


def matrix(session, query, width):
    """The float8 columns of a query, by binary COPY: numpy takes the buffer
    as it is.  The fastest way out of PostgreSQL for Python."""
    record = np.dtype([("fields", ">i2")] + [
        item for i in range(width)
        for item in ((f"b{i}", ">i4"), (f"f{i}", ">f8"))])
    buffer = io.BytesIO()
    session.cursor.copy_expert(
        f"COPY ({query}) TO STDOUT (FORMAT binary)", buffer)
    rows = np.frombuffer(buffer.getbuffer()[len(HEADER):-len(TRAILER)],
                         record)
    x = np.empty((len(rows), width))
    for i in range(width):
        x[:, i] = rows[f"f{i}"]
    return x


def features(session, table="bench"):
    casts = ", ".join(f"{name}::float8" for name in FEATURES)
    return matrix(session, f"SELECT {casts} FROM {table}", len(FEATURES))


# ---- time ----

def timed(call, *arguments):
    begin = time.perf_counter()
    result = call(*arguments)
    return 1000 * (time.perf_counter() - begin), result


def in_turn(repetitions, calls):
    """Every call once a round.  A call gives its milliseconds; some give
    (milliseconds, something), of which the last is kept.  A call that stands
    with a number of its own takes part in that many rounds only."""
    times = {label: [] for label in calls}
    last = {}
    for i in range(repetitions):
        for label, call in calls.items():
            call, most = call if isinstance(call, tuple) else (call, SHORT)
            if i >= most:
                continue
            got = call()
            if isinstance(got, tuple):
                got, last[label] = got
            times[label].append(got)
    return times, last


def median(values):
    return statistics.median(values)


# ---- the report ----

def compare(value, target):
    """Whether a target like "<= 1.8" or ">= 10" is met."""
    relation, limit = target.split()[:2]
    limit = float(limit)
    return value <= limit if relation == "<=" else value >= limit


class Report:
    """A section's figures and times: printed at once, and kept for the page
    as Markdown."""

    def __init__(self, name, title):
        self.name = name
        self.title = title
        self.figures = []
        self.times = []
        self.notes = []

    def figure(self, text, value, target=None, digits=2, spread=""):
        met = None if target is None else compare(value, target)
        self.figures.append((text, f"{value:,.{digits}f}", spread,
                             target or "",
                             {None: "", True: "yes", False: "**no**"}[met]))

    def ratio(self, text, over, under, target=None, digits=2):
        """Of two medians; its spread is that of the rounds' own ratios."""
        rounds = [a / b for a, b in zip(over, under)]
        self.figure(text, median(over) / median(under), target, digits,
                    f"{min(rounds):,.{digits}f} .. {max(rounds):,.{digits}f}")

    def time(self, text, values, unit="ms", digits=1):
        low, mid, high = min(values), median(values), max(values)
        self.times.append((text, f"{mid:,.{digits}f}", f"{low:,.{digits}f}",
                           f"{high:,.{digits}f}", str(len(values)), unit))

    def all_times(self, times):
        for text, values in times.items():
            if values:
                self.time(text, values)

    def note(self, text):
        self.notes.append(text)

    def tables(self):
        if self.figures:
            yield (("figure", "measured", "of the rounds", "target", "met"),
                   self.figures)
        if self.times:
            yield (("time", "median", "least", "most", "times", "unit"),
                   self.times)

    def text(self):
        lines = ["", f"== {self.title} =="]
        for head, rows in self.tables():
            rows = [[cell.replace("**", "") for cell in row]
                    for row in [head, *rows]]
            widths = [max(len(row[i]) for row in rows)
                      for i in range(len(head))]
            lines.append("")
            for row in rows:
                lines.append(row[0].ljust(widths[0]) + "".join(
                    "  " + cell.rjust(width)
                    for cell, width in zip(row[1:], widths[1:])))
        lines += [""] * bool(self.notes) + self.notes
        return "\n".join(lines)

    def markdown(self):
        lines = []
        for head, rows in self.tables():
            lines += ["", "| " + " | ".join(head) + " |",
                      "|---|" + "---:|" * (len(head) - 1)]
            lines += ["| " + " | ".join(row) + " |" for row in rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines).strip("\n") or "Nothing was measured."


def say(text):
    """Progress, for who waits."""
    print(f"  {text}", flush=True)


def stop(text):
    sys.exit(text)
