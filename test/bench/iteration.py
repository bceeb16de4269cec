"""Lloyd's iteration to convergence from the same start centers, on the same
scaled rows in memory: kseg's core, scikit-learn, the best exact programs
there are, and R."""
import os
import subprocess
import tempfile

import numpy as np

from measure import (FEATURES, LONG, PEERS, ROWS, SHORT, Missing, Session,
                     in_turn, median, say)
from peers import Core, Eakmeans, FastKmeans, Sklearn
from scale import given_start, lloyd
from search import scaled
from sqlpeers import make_scaled

# k: what kseg has to be faster by than scikit-learn
TARGETS = {5: 10, 8: 12, 20: 18, 50: 20}
THREADS = (1, 2)

STARTS = 3

# on a tenth of the rows, how much slower than the fastest may still win
NEAR = 1.3


def choose_starts(z, k):
    """Rows by k-means++, from a tenth of all for each start, so that no two
    have a row in common; the first of them are a start for a smaller k."""
    from sklearn.cluster import kmeans_plusplus
    return [10 * kmeans_plusplus(np.ascontiguousarray(z[s::10]), k,
                                 random_state=s)[1] + s
            for s in range(STARTS)]


class Others:
    """The exact programs of others that are here.  All their algorithms run
    on a tenth of the rows; who comes near the fastest runs on all."""

    def __init__(self, z, starts, directory, makers=(Eakmeans, FastKmeans)):
        tenth = np.ascontiguousarray(z[::10])
        self.pairs = []
        for make in makers:
            try:
                self.pairs.append((
                    make(z, starts, directory),
                    make(tenth, [starts[0] // 10], directory)))
            except Missing as reason:
                say(str(reason))

    def contenders(self, k):
        """(program, algorithm) of at most two."""
        times = []
        for full, tenth in self.pairs:
            times += [(tenth.run(k, 1, 0, algorithm)[0], full, algorithm)
                      for algorithm in full.algorithms]
        times.sort(key=lambda item: item[0])
        near = [item[1:] for item in times if item[0] < NEAR * times[0][0]]
        say(f"k = {k}, on a tenth: " + ", ".join(
            f"{full.name} {algorithm} {ms:.0f} ms"
            for ms, full, algorithm in times))
        return near[:2]

    def close(self):
        for pair in self.pairs:
            for runner in pair:
                if hasattr(runner, "close"):
                    runner.close()


def race(report, text, calls):
    """All calls from every start, in turn; call(s) gives milliseconds and
    the inertia at the end, which has to be the same for all.  Milliseconds
    by label, in the order of the starts."""
    times = {label: [] for label in calls}
    apart = 0.0
    for s in range(STARTS):
        ends = {}
        for label, call in calls.items():
            ms, ends[label] = call(s)
            times[label].append(ms)
        apart = max(apart, max(ends.values()) / min(ends.values()) - 1)
        if apart > 1e-6:
            say(f"they end at different inertias: {ends}")
    for label, values in times.items():
        report.time(f"{text}: {label}", values)
    return times, apart


def ratios(theirs, ours):
    """By start."""
    return [a / b for a, b in zip(theirs, ours)]


def add_figure(report, text, found, target):
    report.figure(text, median(found), target, 1,
                  spread=f"{min(found):.1f} .. {max(found):.1f}")


def fastest(times, names=("eakmeans", "fast-kmeans")):
    """The milliseconds of whoever is fastest over all starts together."""
    found = [(sum(values), label) for label, values in times.items()
             if label.split()[0] in names]
    return min(found)[1] if found else None


def core_or_none(report, core, k, threads):
    try:
        core.run(k, threads, 0, 1)
        return core
    except Missing as reason:
        report.note(f"{threads} threads not measured: {reason}.")
        return None


def through_sql(report, k, start):
    """The same from the first start as a fit of the table does it: that the
    core alone is no other program."""
    calls = {}
    for workers in 0, 1:
        session = Session(max_parallel_workers_per_gather=0,
                          max_parallel_maintenance_workers=workers)
        make_scaled(session)
        fit = given_start(k, 100000, start.tolist()) + "bench_z"
        calls[f"k = {k}, first start: kseg_fit after reading, {workers} "
              "workers"] = (
                  lambda session=session, fit=fit: lloyd(session, fit))
    times, _ = in_turn(LONG, calls)
    report.all_times(times)


def run_lloyd(report):
    """8 features, four k, one thread and two."""
    z = scaled(Session())
    starts = choose_starts(z, max(TARGETS))
    iterations = []
    largest = 0.0
    with tempfile.TemporaryDirectory() as directory:
        core = Core(z, starts, directory)
        sklearn = Sklearn(z, starts)
        others = Others(z, starts, directory)
        threads_here = [threads for threads in THREADS
                        if core_or_none(report, core, 5, threads)]
        for k, target in TARGETS.items():
            contenders = others.contenders(k)
            for threads in threads_here:
                text = f"k = {k}, {threads} thread" + "s" * (threads > 1)
                calls = {
                    "kseg": lambda s: core.run(k, threads, s),
                    "scikit-learn": lambda s: sklearn.run(k, threads, s)}
                for program, algorithm in contenders:
                    calls[f"{program.name} {algorithm}"] = (
                        lambda s, program=program, algorithm=algorithm:
                        program.run(k, threads, s, algorithm))
                sklearn.fits.clear()
                times, apart = race(report, text, calls)
                largest = max(largest, apart)
                if k == min(TARGETS):
                    report.time(f"{text}: scikit-learn, all of fit()",
                                sklearn.fits)
                add_figure(report, f"scikit-learn / kseg, {text}",
                           ratios(times["scikit-learn"], times["kseg"]),
                           f">= {target}")
                label = fastest(times)
                if label:
                    add_figure(report, f"{label} / kseg, {text}",
                               ratios(times[label], times["kseg"]), ">= 7")
            iterations.append(f"{core.iterations_by_start(k)} at k = {k}")
            through_sql(report, k, z[starts[0][:k]])
        others.close()
    report.note("Iterations from each start: " + "; ".join(iterations) +
                f". The inertias at the end agree to {largest:.0e}.")


def made_up(rows, width):
    """Scaled rows with more features than the table has: six groups, half
    of the columns skewed, as in data.sql."""
    draw = np.random.default_rng(width)
    group = draw.choice(6, rows, p=[0.35, 0.25, 0.15, 0.12, 0.08, 0.05])
    z = np.empty((rows, width))
    for i in range(width):
        levels = draw.permutation(6)
        column = 0.7 * levels[group] + draw.standard_normal(rows)
        if i % 2:
            np.exp(0.4 * column, out=column)
        z[:, i] = (column - column.mean()) / column.std()
    return z


def run_features(report):
    """The same with 2 to 32 features, one thread, beside eakmeans."""
    if not os.path.exists(os.path.join(PEERS, "eakmeans")):
        raise Missing("eakmeans is not in BENCH_PEERS")
    z8 = scaled(Session())
    iterations = []
    for width in 2, 4, 16, 32:
        # from income on: with the integers before it, rows that are as far
        # from two centers would let everybody end elsewhere
        z = (np.ascontiguousarray(z8[:, 3:3 + width]) if width <= 4
             else made_up(ROWS, width))
        starts = choose_starts(z, 20)
        with tempfile.TemporaryDirectory() as directory:
            core = Core(z, starts, directory)
            others = Others(z, starts, directory, [Eakmeans])
            for k in 8, 20:
                calls = {"kseg": lambda s: core.run(k, 1, s)}
                for program, algorithm in others.contenders(k):
                    calls[f"{program.name} {algorithm}"] = (
                        lambda s, program=program, algorithm=algorithm:
                        program.run(k, 1, s, algorithm))
                text = f"{width} features, k = {k}"
                times, _ = race(report, text, calls)
                label = fastest(times)
                add_figure(report, f"{label} / kseg, {text}",
                           ratios(times[label], times["kseg"]), ">= 4.5")
                iterations.append(f"{core.iterations_by_start(k)} with "
                                  f"{text}")
    report.note("Iterations from each start: " + "; ".join(iterations) + ".")


# ---- R ----

R_PROGRAM = r"""
args <- commandArgs(TRUE)
n <- as.integer(args[1]); d <- as.integer(args[2]); k <- as.integer(args[3])
read <- function(file, rows) matrix(
	readBin(file, "double", rows * d), rows, d, byrow = TRUE)
x <- read(args[4], n)
start <- read(args[5], k)
for (algorithm in c("Lloyd", "Hartigan-Wong"))
	for (i in seq_len(as.integer(args[6]))) {
		ms <- 1000 * system.time(fit <- suppressWarnings(kmeans(x, start,
			iter.max = 100000L, algorithm = algorithm)))[["elapsed"]]
		cat(algorithm, ms, fit$iter, format(fit$tot.withinss, digits = 15),
			"\n")
	}
"""


def run_r(report):
    """R's kmeans() from the same start, k = 5, one thread."""
    try:
        subprocess.run(["Rscript", "--version"], capture_output=True,
                       check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Missing("R is not here (Debian: r-base-core)") from None
    z = scaled(Session())
    with tempfile.TemporaryDirectory() as directory:
        core = Core(z, choose_starts(z, 5), directory)
        ours = [core.run(5, 1, 0)[0] for _ in range(SHORT)]
        end = core.run(5, 1, 0)[1]
        program = os.path.join(directory, "kmeans.R")
        with open(program, "w") as file:
            file.write(R_PROGRAM)
        done = subprocess.run(
            ["Rscript", program, str(len(z)), str(len(FEATURES)), "5",
             core.rows, core.start, str(LONG)],
            text=True, capture_output=True)
    if done.returncode != 0:
        raise Missing(f"R failed: {done.stderr}")
    times = {"kseg": ours}
    inertias = {"kseg": end}
    for line in done.stdout.splitlines():
        algorithm, ms, _, inertia = line.split()
        times.setdefault(f"R, {algorithm}", []).append(float(ms))
        inertias[f"R, {algorithm}"] = float(inertia)
    for label in times:
        if label != "kseg":
            report.ratio(f"{label} / kseg, k = 5, 1 thread", times[label],
                         times["kseg"], None, 1)
    report.all_times(times)
    report.note("Inertias: " + ", ".join(
        f"{label} {value:.2f}" for label, value in inertias.items()) +
        ". Hartigan and Wong go on where Lloyd ends, to a better optimum "
        "sometimes.")
