-- Virtual datasets for Apache Superset, each saved from SQL Lab; "segmentation"
-- is a filter of the dashboard.  Chart types are named.
-- Not tried in Superset itself; the SQL is tested.

-- Dataset kseg_headline: big numbers
SELECT segmentation, customers, segments, drift, last_run, labels_to_review,
       held_version IS NOT NULL AS model_is_held
FROM kseg_overview;

-- Dataset kseg_sizes: line or area chart; x at, series segment_name
SELECT segmentation, at, segment, segment || ': ' || label AS segment_name, size,
       share
FROM kseg_segment_sizes;

-- Dataset kseg_profile: heat map; x segment_name, y feature, metric max(z)
SELECT segmentation, segment || ': ' || label AS segment_name, feature, top_value,
       mean, overall_mean, index_100, z
FROM kseg_latest_profile;

-- Dataset kseg_elbow: line chart; x k, metric max(inertia)
SELECT segmentation, k, inertia, silhouette, is_knee, is_in_use
FROM kseg_latest_elbow;

-- Dataset kseg_scatter: bubble chart; x, y, series segment_name
SELECT segmentation, x, y, segment || ': ' || label AS segment_name
FROM kseg_latest_scatter;

-- Dataset kseg_moves: sankey; source, target, metric sum(customers)
SELECT segmentation, at, coalesce(from_segment || ': ' || from_label, 'new') AS source,
       coalesce(to_segment || ': ' || to_label, 'gone') AS target, customers
FROM kseg_run_migration
WHERE from_segment IS DISTINCT FROM to_segment;

-- Dataset kseg_drift: heat map; x at, y feature, metric max(psi)
SELECT segmentation, at, feature, psi, verdict
FROM kseg_run_drift
WHERE feature IS NOT NULL;

-- Dataset kseg_log: table
SELECT segmentation, at, action, reason, changed, new, gone, drift, held, seconds
FROM kseg_run_log;
