"""psql for the comparisons: tables in, values out, and TAP lines.

Only psql is needed on the client's side.  The server is the one that the
environment names (PGHOST, ...): test/server.sh provides it.
"""
import json
import os
import subprocess

_count = 0
_failed = 0


def psql(sql, rows=None):
    """Run SQL, with rows (an iterable of tuples) as COPY's standard input."""
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    if rows is None:
        done = subprocess.run(command, input=sql, text=True,
                              capture_output=True)
    else:
        data = "\n".join("\t".join(r"\N" if v is None else str(v) for v in row)
                         for row in rows) + "\n"
        done = subprocess.run(command + ["-c", sql], input=data, text=True,
                              capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(sql + "\n" + done.stderr)
    return done.stdout.rstrip("\n")


def load(table, columns, rows):
    """Make a table; columns as in CREATE TABLE.  Doubles go as repr()."""
    psql(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns})")
    psql(f"COPY {table} FROM STDIN",
         ([repr(float(v)) if isinstance(v, float) else v for v in row]
          for row in rows))


def load_array(table, x):
    """A matrix as columns x1 .. xn after an id; returns the columns' list."""
    names = [f"x{j + 1}" for j in range(x.shape[1])]
    load(table, "id int, " + ", ".join(n + " float8" for n in names),
         ([i] + [float(v) for v in row] for i, row in enumerate(x)))
    return ", ".join(names)


def model(sql):
    return json.loads(psql(sql))


def floats(sql):
    return [[float(v) for v in line.split("|")]
            for line in psql(sql).splitlines()]


def mall():
    """The mall customers (age, income, score), or None where they are not."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(here, "../../../shared/data/mall_customers.csv")
    if not os.path.exists(path):
        return None
    with open(path) as file:
        lines = file.read().split()[1:]
    return [[float(v) for v in line.split(",")[2:]] for line in lines]


def ok(holds, name):
    global _count, _failed
    _count += 1
    _failed += not holds
    print(("ok" if holds else "not ok"), _count, "-", name, flush=True)
    return holds


def skip(name, why):
    global _count
    _count += 1
    print("ok", _count, "-", name, "# SKIP", why, flush=True)


def close(a, b, tolerance=1e-9):
    return abs(a - b) <= tolerance * max(abs(a), abs(b), 1e-300)


def finish():
    print(f"1..{_count}", flush=True)
    raise SystemExit(1 if _failed else 0)
