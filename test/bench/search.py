"""Searching k, and the exact silhouette, beside scikit-learn.

kseg goes from the table to the finished table of scores; scikit-learn gets
the matrix ready and scaled, and only fits or measures.
"""
from measure import (COLUMNS, LONG, SERIAL, SHORT, Session, features,
                     in_turn, say, timed)

QUERY = f"SELECT {COLUMNS} FROM bench"
ELBOW = ("SELECT k, inertia FROM kseg_elbow("
         f"'{QUERY}', 1, 10) ORDER BY k")


def scaled(session, table="bench"):
    from sklearn.preprocessing import StandardScaler
    return StandardScaler().fit_transform(features(session, table))


def run_elbow(report):
    """kseg_elbow beside KMeans for every k."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits
    from table import AVERAGES
    session = Session()
    serial = Session(**SERIAL)
    z = scaled(session)

    def theirs():
        inertias = []
        total = 0
        with threadpool_limits(2):
            for k in range(1, 11):
                ms, fit = timed(KMeans(k, n_init=10, random_state=0).fit, z)
                total += ms
                inertias.append(fit.inertia_)
        say(f"scikit-learn: {total / 1000:.0f} s")
        return total, inertias

    times, last = in_turn(LONG, {
        "eight avg": lambda: serial.ms(AVERAGES),
        "kseg_elbow, k = 1..10": lambda: timed(session.run, ELBOW),
        "kseg_elbow, k = 1..10, no workers": lambda: serial.ms(ELBOW),
        "KMeans(n_init=10), k = 1..10": theirs,
    })
    apart = [100 * (float(ours) / expected - 1) for (_, ours), expected in
             zip(last["kseg_elbow, k = 1..10"],
                 last["KMeans(n_init=10), k = 1..10"])]
    report.ratio("scikit-learn, n_init=10 / kseg_elbow, k = 1..10",
                 times["KMeans(n_init=10), k = 1..10"],
                 times["kseg_elbow, k = 1..10"], ">= 25", 1)
    report.figure("highest inertia of the ten against scikit-learn, %",
                  max(apart), "<= 0.05", 4)
    report.ratio("kseg_elbow, no workers / eight avg",
                 times["kseg_elbow, k = 1..10, no workers"],
                 times["eight avg"], "<= 25", 1)
    report.all_times(times)
    report.note("Inertia against scikit-learn, k = 1..10, %: " + ", ".join(
        f"{percent:+.4f}" for percent in apart) + ".")


def run_silhouette(report):
    """The exact silhouette of 10,000 rows."""
    from sklearn.metrics import silhouette_score
    session = Session()
    session.run("DROP TABLE IF EXISTS bench_small, bench_small_model")
    session.run("CREATE TABLE bench_small AS SELECT * FROM bench LIMIT 10000")
    model = session.one(f"SELECT kseg_fit(5, {COLUMNS}) FROM bench_small")
    own = [row[0] for row in session.run(
        f"SELECT kseg_predict(%s, {COLUMNS}) FROM bench_small", model)]
    z = scaled(session, "bench_small")
    evaluate = ("SELECT silhouette FROM kseg_evaluate(%s, 'SELECT " +
                COLUMNS + " FROM bench_small') WHERE segment IS NULL")

    times, last = in_turn(SHORT, {
        "kseg_evaluate": lambda: timed(session.one, evaluate, model),
        "silhouette_score": lambda: timed(silhouette_score, z, own),
    })
    report.ratio("silhouette_score / kseg_evaluate, 10,000 x 8, k = 5",
                 times["silhouette_score"], times["kseg_evaluate"], ">= 4",
                 1)
    report.figure("difference of the silhouettes",
                  abs(last["kseg_evaluate"] - last["silhouette_score"]),
                  "<= 1e-09", 12)
    report.all_times(times)
