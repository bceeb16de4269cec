"""What this machine can do at most, so that the other figures can be held
against it: docs/internals.md says where the remaining time goes."""
import os
import subprocess

from measure import FEATURES, ROWS, Missing

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "build",
                       "roofline")


def measured():
    """By name: GB/s of reading, 1e9 multiply-adds a second."""
    if not os.access(PROGRAM, os.X_OK):
        raise Missing("the program roofline was not built")
    done = subprocess.run([PROGRAM, str(min(64, os.cpu_count()))], text=True,
                          capture_output=True, check=True)
    return {name: float(value) for name, value in
            (line.split() for line in done.stdout.splitlines())}


def run(report):
    """Memory bandwidth and multiply-add rates, and what follows for passes
    over the rows."""
    rates = measured()
    for name, value in rates.items():
        what, threads = name.split("_")
        threads += " thread" + "s" * (threads != "1")
        if what == "read":
            report.figure(f"reading memory, {threads}, GB/s", value)
        else:
            report.figure(f"multiply-adds in {what}, {threads}, 1e9/s",
                          value)
    values = ROWS * len(FEATURES)
    report.note(
        f"One pass over {ROWS:,} x {len(FEATURES)} float64, one thread: "
        f"reading takes at least {values * 8 / rates['read_1'] / 1e6:.2f} "
        "ms; all distances, one multiply-add a feature and center, at least "
        + ", ".join(
            f"{values * k / rates['float_1'] / 1e6:.2f} ms in float "
            f"({values * k / rates['double_1'] / 1e6:.2f} in double) at "
            f"k = {k}" for k in (5, 8, 20, 50)) + ".")
