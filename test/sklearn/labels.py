#!/usr/bin/python3
"""Labels and profiles of segments on real customers, and against numpy.

A marketer knows the five segments of the mall customers: high and low income
with high and low spending, and those in the middle.
"""
import numpy as np

import datasets
from session import (close, finish, floats, load, load_array, mall, ok, psql,
                     skip)

FIVE = {"high annual_income, high spending_score",
        "high annual_income, low spending_score",
        "low annual_income, high spending_score",
        "low annual_income, low spending_score", "about average"}


def labels(fit):
    """Labels in the order of the segments."""
    return psql(f"""SELECT label FROM kseg_profile(({fit}))
        WHERE rank = 1 ORDER BY segment""").splitlines()


def check_mall():
    rows = mall()
    if rows is None:
        skip("labels of the mall customers", "shared data are not here")
        return
    load("mall_labels", "age int, annual_income int, spending_score int",
         ([int(v) for v in row] for row in rows))
    for scale in "zscore", "none", "minmax", "robust", "maxabs":
        found = labels(f"""SELECT kseg_fit(kseg_options(k => 5,
            scale => '{scale}'), annual_income, spending_score)
            FROM mall_labels""")
        ok(set(found) == FIVE, f"mall, {scale}: {'; '.join(found)}")
    # a tenth of the customers missing: the same words
    for part in range(10):
        found = labels(f"""SELECT kseg_fit(5, annual_income, spending_score)
            FROM (SELECT *, row_number() OVER () AS n FROM mall_labels) AS m
            WHERE n % 10 <> {part}""")
        ok(set(found) == FIVE, f"mall without part {part}")
    for k in 2, 3, 4, 6, 8, 10, 20, 50:
        found = labels(f"""SELECT kseg_fit({k}, age, annual_income,
            spending_score) FROM mall_labels""")
        ok(len(set(found)) == k, f"mall, k = {k}: {found[-1]}")


def check_profile():
    """Every statistic of a query's rows as numpy has it."""
    x, _ = datasets.make(20)
    columns = load_array("profiled", x)
    psql(f"""DROP TABLE IF EXISTS profiled_model;
        CREATE TABLE profiled_model AS
        SELECT kseg_fit(6, {columns}) AS model FROM profiled""")
    own = np.array(floats(f"""SELECT kseg_predict(model, {columns})
        FROM profiled, profiled_model ORDER BY id"""), dtype=int)[:, 0]
    found = floats("""SELECT p.segment, substr(feature, 2), size, mean,
        overall_mean, z, median, p25, p75 FROM profiled_model,
        kseg_profile(model, 'SELECT * FROM profiled') AS p
        WHERE feature <> 'id'""")
    worst = 0
    for segment, feature, *values in found:
        all_rows = x[:, int(feature) - 1]
        rows = all_rows[own == segment]
        expected = [len(rows), rows.mean(), all_rows.mean(),
                    (rows.mean() - all_rows.mean()) / all_rows.std(),
                    *np.percentile(rows, [50, 25, 75])]
        worst = max(worst, *(abs(a - b) / max(abs(b), 1)
                             for a, b in zip(values, expected)))
    ok(len(found) == 6 * x.shape[1] and worst <= 1e-12,
       f"profile of a query against numpy: {worst:.1e}")
    means = floats("""SELECT q.mean, m.mean, q.z, m.z FROM profiled_model,
        kseg_profile(model, 'SELECT * FROM profiled') AS q
        JOIN LATERAL kseg_profile(model) AS m
        ON (q.segment, q.feature, q.label) = (m.segment, m.feature, m.label)
        """)
    ok(len(means) == 6 * x.shape[1] and
       all(close(a, b) and close(c, d) for a, b, c, d in means),
       "profile of a model against that of its rows")


def main():
    check_mall()
    check_profile()
    finish()


if __name__ == "__main__":
    main()
