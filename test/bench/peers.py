"""Programs that do Lloyd's iteration from given start centers, each behind
the same call: run(k, threads, s) takes the s-th start and gives milliseconds
and the inertia at the end.

Those of others that are no packages are found by the environment's
BENCH_PEERS, a directory that holds eakmeans (with lib/kmeans.so, its Python
library) and fast-kmeans (with src/driver-experiment).  All get the same
rows and start centers, and run until no row moves.
"""
import ctypes
import importlib.util
import os
import subprocess

import numpy as np

from measure import PEERS, SIMD, Missing, median, timed

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "build",
                       "lloyd")
ENDLESS = 1000000


def inertia(z, centers):
    """Of the rows to their nearest centers; in pieces, to spare memory."""
    total = 0.0
    for begin in range(0, len(z), 1 << 16):
        piece = z[begin:begin + (1 << 16)]
        nearest = np.full(len(piece), np.inf)
        for center in centers:
            np.minimum(nearest, ((piece - center) ** 2).sum(axis=1),
                       out=nearest)
        total += nearest.sum()
    return total


class Core:
    """kseg's core alone: the rows are laid out as a fit lays them out, and
    km_lloyd() is timed.  One call can repeat it."""

    name = "kseg"

    def __init__(self, z, starts, directory):
        if not os.access(PROGRAM, os.X_OK):
            raise Missing("the program lloyd was not built")
        self.features = z.shape[1]
        self.rows = os.path.join(directory, "rows.f64")
        self.start = os.path.join(directory, "start.f64")
        z.astype("<f8").tofile(self.rows)
        self.starts = [z[rows].astype("<f8") for rows in starts]
        self.iterations = {}

    def run(self, k, threads, s, repetitions=3):
        """The median of some repetitions, as they take less time than the
        others' one."""
        self.starts[s][:k].tofile(self.start)
        done = subprocess.run(
            [PROGRAM, "-t", str(threads), "-r", str(repetitions), "-s", SIMD,
             str(self.features), self.rows, self.start],
            text=True, capture_output=True)
        if done.returncode == 3:
            raise Missing("the program lloyd has no threads")
        if done.returncode != 0:
            raise Missing(f"the program lloyd failed: {done.stderr}")
        lines = [line.split() for line in done.stdout.splitlines()]
        times = [float(line[1]) for line in lines if line[0] == "ms"]
        last = {line[0]: line[1] for line in lines}
        self.iterations[k, s] = int(last["iterations"])
        return median(times), float(last["inertia"])

    def iterations_by_start(self, k):
        return ", ".join(str(self.iterations[k, s])
                         for s in range(len(self.starts)))


class Sklearn:
    """KMeans.  fit() copies the rows, centers them and checks them before it
    comes to Lloyd; its loop alone is what compares, so it is timed on its
    own as well, if this version has it where it was."""

    name = "scikit-learn"

    def __init__(self, z, starts):
        import sklearn.cluster._kmeans as module
        self.z = z
        self.starts = starts
        self.fits = []
        self.module = module
        loop = getattr(module, "_kmeans_single_lloyd", None)
        if loop is not None and not hasattr(loop, "timed_here"):
            def measured(*arguments, **named):
                ms, result = timed(lambda: loop(*arguments, **named))
                module.kseg_loop_ms = ms
                return result
            measured.timed_here = True
            module._kmeans_single_lloyd = measured

    def run(self, k, threads, s):
        """What fit() took in all goes into fits."""
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
        self.module.kseg_loop_ms = None
        kmeans = KMeans(k, init=self.z[self.starts[s][:k]], n_init=1, tol=0,
                        max_iter=ENDLESS, algorithm="lloyd")
        with threadpool_limits(threads):
            ms, _ = timed(kmeans.fit, self.z)
        self.fits.append(ms)
        return self.module.kseg_loop_ms or ms, kmeans.inertia_


class Eakmeans:
    """Newling and Fleuret's exact algorithms (idiap/eakmeans), by its Python
    library.  It tells its own time, in whole milliseconds."""

    name = "eakmeans"
    algorithms = ["exp-ns", "syin-ns", "selk-ns", "ham"]

    def __init__(self, z, starts, directory):
        path = os.path.join(PEERS, "eakmeans", "lib", "kmeans.so")
        if not PEERS or not os.path.exists(path):
            raise Missing("eakmeans is not in BENCH_PEERS")
        spec = importlib.util.spec_from_file_location("kmeans", path)
        self.library = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.library)
        self.z = z
        self.starts = starts

    def run(self, k, threads, s, algorithm):
        got = self.library.get_clustering(
            self.z, k, init=self.z[self.starts[s][:k]], algorithm=algorithm,
            n_threads=threads, verbose=0, max_iter=ENDLESS, max_time=1e9)
        return float(got["duration"]), inertia(self.z, got["C"])


class FastKmeans:
    """Hamerly and Drake's programs (ghamerly/fast-kmeans), one process that
    takes commands.  It draws its start centers by rand(), so the rows are
    put where it will look.  It assigns the rows to the start centers before
    its clock starts: one pass that it gets for nothing."""

    name = "fast-kmeans"
    algorithms = ["hamerly", "elkan", "annulus", "adaptive", "heap"]

    def __init__(self, z, starts, directory):
        program = os.path.join(PEERS, "fast-kmeans", "src",
                               "driver-experiment")
        if not PEERS or not os.access(program, os.X_OK):
            raise Missing("fast-kmeans is not in BENCH_PEERS")
        order = self.order(len(z), starts)
        path = os.path.join(directory, f"rows{len(z)}.txt")
        with open(path, "w") as file:
            file.write(f"{z.shape[0]} {z.shape[1]}\n")
            for begin in range(0, len(z), 1 << 16):
                values = z[order[begin:begin + (1 << 16)]].ravel().tolist()
                file.write("\n".join(map(repr, values)) + "\n")
        self.z = z
        self.process = subprocess.Popen(
            [program], text=True, bufsize=1, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.process.stdout.readline()
        self.tell(f"data {path}")
        self.process.stdout.readline()
        os.remove(path)

    def order(self, n, starts):
        """The rows in an order in which rand() finds each start's rows; the
        seeds that it needs for that."""
        libc = ctypes.CDLL(None)
        order = np.arange(n)
        where = {}
        taken = set()
        self.seeds = []
        for rows in starts:
            drawn, seed = self.draw(libc, n, len(rows), taken)
            self.seeds.append(seed)
            taken.update(drawn)
            for i, row in zip(drawn, map(int, rows)):
                at = where.get(row, row)
                if at in taken and at not in drawn:
                    raise Missing("two starts have a row in common")
                order[i], order[at] = order[at], order[i]
                where[int(order[at])] = at
                where[row] = i
        return order

    @staticmethod
    def draw(libc, n, k, taken):
        """What the program draws by the first seed that draws nothing that
        is taken."""
        for seed in range(1, 1000):
            libc.srand(seed)
            drawn = []
            while len(drawn) < k:
                i = libc.rand() % n
                if i not in drawn:
                    drawn.append(i)
            if not taken.intersection(drawn):
                return drawn, seed
        raise Missing("too few rows for fast-kmeans")

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def run(self, k, threads, s, algorithm):
        self.tell(f"threads {threads}")
        self.tell(f"seed {self.seeds[s]}")
        self.tell(f"init {k} random")
        self.process.stdout.readline()
        self.tell(algorithm)
        fields = self.process.stdout.readline().split()
        self.tell("dump_centers")
        centers = np.array([self.process.stdout.readline().split()
                            for _ in range(k)], float)
        return 1000 * float(fields[4]), inertia(self.z, centers)

    def close(self):
        self.tell("quit")
        self.process.wait()
