-- Questions for Metabase, each as a native query.  {{segmentation}} is a text
-- variable of the question; on a dashboard, one filter serves them all.
-- Not tried in Metabase itself; the SQL is tested.

-- Question: customers, segments, drift, and what waits (object detail)
SELECT customers, segments, last_run, last_action, drift, held_version,
       labels_to_review, proposed_k
FROM kseg_overview
WHERE segmentation = {{segmentation}};

-- Question: the segments of today (table or pie)
SELECT z.segment, z.label, z.size AS customers, z.share
FROM kseg_segment_sizes AS z
WHERE z.segmentation = {{segmentation}} AND
      z.run_id = (SELECT max(run_id) FROM kseg_segment_sizes
                  WHERE segmentation = {{segmentation}})
ORDER BY z.segment;

-- Question: sizes over time (line; at, label, customers)
SELECT at, label, size AS customers
FROM kseg_segment_sizes
WHERE segmentation = {{segmentation}}
ORDER BY at, segment;

-- Question: what sets the segments apart (pivot table; label, feature, z)
SELECT label, feature, z
FROM kseg_latest_profile
WHERE segmentation = {{segmentation}}
ORDER BY segment, rank;

-- Question: how many segments (line; k, inertia)
SELECT k, inertia, silhouette, is_knee
FROM kseg_latest_elbow
WHERE segmentation = {{segmentation}}
ORDER BY k;

-- Question: who moved last week (pivot table; from, to, customers)
SELECT coalesce(from_label, 'new') AS "from", coalesce(to_label, 'gone') AS "to",
       sum(customers) AS customers
FROM kseg_run_migration
WHERE segmentation = {{segmentation}} AND at >= now() - interval '7 days' AND
      from_segment IS DISTINCT FROM to_segment
GROUP BY 1, 2
ORDER BY 3 DESC;

-- Question: who came into a segment since yesterday (table)
SELECT key, label, previous_label
FROM kseg_current
WHERE segmentation = {{segmentation}} AND
      segment_since >= now() - interval '1 day'
ORDER BY segment, key
LIMIT 2000;

-- Question: drift (line; at, feature, psi)
SELECT at, feature, psi
FROM kseg_run_drift
WHERE segmentation = {{segmentation}} AND feature IS NOT NULL
ORDER BY at, feature;

-- Question: last runs (table)
SELECT at, action, reason, changed, new, gone, drift, seconds
FROM kseg_run_log
WHERE segmentation = {{segmentation}}
ORDER BY at DESC
LIMIT 30;
