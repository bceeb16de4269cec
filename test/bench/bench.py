#!/usr/bin/python3
"""The benchmark, inside test/server.sh ("make bench"): see README.md.

Sections run one after the other; BENCH_ONLY names those that are wanted.
What is measured is printed; with the full number of rows it also goes into
docs/performance.md, whose new text is written to file descriptor 3 when
that is open.
"""
import os
import re
import subprocess
import sys
import time
import traceback

try:
    import numpy  # noqa: F401
    import psycopg2  # noqa: F401
    import sklearn  # noqa: F401
except ImportError as error:
    sys.exit(f"skipped: {error} (Debian: python3-sklearn, python3-psycopg2)")

import iteration
import night
import roofline
import scale
import search
import sqlpeers
import table
from measure import ROWS, Missing, Report, Session, say
from versions import machine

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "docs", "performance.md")
FULL = 1000000

# what stands in a page before the first run
UNMEASURED = "<!-- begin machine -->\nNot measured yet."

SECTIONS = {
    "roofline": ("What this machine can do", roofline.run),
    "table": ("From the table to the model", table.run_table),
    "lloyd": ("Lloyd to convergence from the same start", iteration.run_lloyd),
    "features": ("Lloyd with 2 to 32 features", iteration.run_features),
    "sql": ("Other ways inside PostgreSQL", sqlpeers.run),
    "r": ("R", iteration.run_r),
    "elbow": ("Searching k", search.run_elbow),
    "silhouette": ("The exact silhouette", search.run_silhouette),
    "workers": ("Workers", scale.run_workers),
    "spill": ("Larger than memory", scale.run_spill),
    "rows": ("Ten times the rows", scale.run_rows),
    "pushdown": ("Past one machine", scale.run_pushdown),
    "apply": ("Writing segments back", table.run_apply),
    "night": ("A night beside the usual Python job", night.run),
}


def wanted():
    names = os.environ.get("BENCH_ONLY", "").replace(",", " ").split()
    for name in names:
        if name not in SECTIONS:
            sys.exit(f"BENCH_ONLY: no section \"{name}\"; there are "
                     + ", ".join(SECTIONS))
    return names or list(SECTIONS)


def make_rows():
    say(f"making {ROWS} rows")
    subprocess.run(["psql", "-X", "-q", "-v", f"rows={ROWS}", "-f",
                    os.path.join(HERE, "data.sql")], check=True)


def run_section(name):
    title, run = SECTIONS[name]
    report = Report(name, title)
    print(f"\n{title} ({name})", flush=True)
    begin = time.perf_counter()
    try:
        run(report)
    except Missing as reason:
        print(f"skipped: {reason}", flush=True)
        report.note(f"Skipped: {reason}.")
    except Exception:
        # what the other sections measured must not be lost
        traceback.print_exc()
        report.note("Failed: see what make bench printed.")
    seconds = time.perf_counter() - begin
    print(report.text(), flush=True)
    print(f"\n({seconds:.0f} s)", flush=True)
    return report


# ---- the page ----

def replaced(page, name, text):
    """The page with what stands between a section's markers replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    if not pattern.search(page):
        sys.exit(f"docs/performance.md has no place for \"{name}\"")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", page)


def publish(reports, names):
    """Not for a few rows, and nothing of another machine beside what stands
    there."""
    try:
        out = os.fdopen(3, "w")
    except OSError:
        return
    with out, open(PAGE) as file:
        page = file.read()
        about = machine()
        if ROWS != FULL:
            print(f"\ndocs/performance.md stays: it is for {FULL} rows")
            return
        # the line that tells the processor
        if len(names) == len(SECTIONS) or UNMEASURED in page:
            page = replaced(page, "machine", about)
        elif about.split("\n")[2] not in page:
            print("\ndocs/performance.md stays: it is about another machine")
            return
        for report in reports:
            page = replaced(page, report.name, report.markdown())
        out.write(page)


def main():
    names = wanted()
    begin = time.perf_counter()
    print(machine())
    make_rows()
    Session().run("SELECT count(*) FROM bench")
    reports = [run_section(name) for name in names]
    missed = [(report, figure) for report in reports
              for figure in report.figures if figure[-1] == "**no**"]
    print(f"\nall of it took {(time.perf_counter() - begin) / 60:.1f} "
          f"minutes; {len(missed)} targets missed")
    for report, figure in missed:
        print(f"  {report.name}: {figure[0]}: {figure[1]}, wanted "
              f"{figure[3]}")
    publish(reports, names)


if __name__ == "__main__":
    main()
