-- 97-dashboard.sql: runs, drift and models as dashboards read them

-- As in 96-views.sql: one grain each, columns of types that every driver
-- knows, read as whoever asks.  Filters by segmentation and run reach the
-- tables' indexes, also below row-level security: they compare with operators
-- that are leakproof.

-- JSON and most tools know neither NaN nor infinity.  Not strict, so that it
-- is inlined.
CREATE FUNCTION kseg_finite(x double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE COST 1
BEGIN ATOMIC
	SELECT CASE WHEN abs(x) < 'Infinity' THEN x END;
END;

COMMENT ON FUNCTION kseg_finite(double precision) IS
	'part of the views: a number, or null for NaN and infinity';

-- ---- the segmentations ----

CREATE VIEW kseg_overview WITH (security_invoker = true) AS
	SELECT s.name AS segmentation,
		pg_catalog.pg_get_userbyid(s.owner)::text AS owner,
		CASE WHEN target.relname IS NOT NULL
			THEN pg_catalog.format('%I.%I', target_schema.nspname,
				target.relname) END AS target,
		i.k AS segments, s.members AS customers, s.version,
		m.created AS fitted, latest.started AS last_run,
		latest.action AS last_action, latest.reason AS last_reason,
		held.version AS held_version, labels.to_review AS labels_to_review,
		kseg_finite(measured.drift) AS drift, refitted.proposed_k
	FROM kseg_segmentations AS s
		LEFT JOIN pg_catalog.pg_class AS target ON target.oid = s.target
		LEFT JOIN pg_catalog.pg_namespace AS target_schema
			ON target_schema.oid = target.relnamespace
		LEFT JOIN kseg_models AS m
			ON m.segmentation = s.id AND m.version = s.version
		LEFT JOIN LATERAL kseg_info(m.model) AS i ON true
		LEFT JOIN LATERAL (SELECT r.started, r.action, r.reason
				FROM kseg_runs AS r
				WHERE r.segmentation = s.id
				ORDER BY r.started DESC, r.id DESC LIMIT 1) AS latest ON true
		LEFT JOIN LATERAL (SELECT r.drift
				FROM kseg_runs AS r
				WHERE r.segmentation = s.id AND r.drift IS NOT NULL
				ORDER BY r.started DESC, r.id DESC LIMIT 1) AS measured
			ON true
		LEFT JOIN LATERAL (SELECT r.proposed_k
				FROM kseg_runs AS r
				WHERE r.segmentation = s.id AND r.refit_version IS NOT NULL
				ORDER BY r.started DESC, r.id DESC LIMIT 1) AS refitted
			ON true
		CROSS JOIN LATERAL (SELECT max(w.version) AS version
				FROM kseg_models AS w
				WHERE w.segmentation = s.id AND w.is_held AND
					w.version > s.version) AS held
		CROSS JOIN LATERAL (SELECT count(l.review) AS to_review
				FROM kseg_labels AS l
				WHERE l.segmentation = s.id) AS labels;

COMMENT ON VIEW kseg_overview IS
	'segmentations that are kept up to date, and how they are; a row for each segmentation';
COMMENT ON COLUMN kseg_overview.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_overview.owner IS
	'role that registered it, and as which it runs';
COMMENT ON COLUMN kseg_overview.target IS
	'table that segments are written to; null: it is gone';
COMMENT ON COLUMN kseg_overview.segments IS
	'segments of the model in use; null before the first run';
COMMENT ON COLUMN kseg_overview.customers IS
	'customers with a segment after the last run';
COMMENT ON COLUMN kseg_overview.version IS
	'version of the model in use; null before the first run';
COMMENT ON COLUMN kseg_overview.fitted IS
	'when the model in use was fitted';
COMMENT ON COLUMN kseg_overview.last_run IS
	'when the last run started, whatever it did';
COMMENT ON COLUMN kseg_overview.last_action IS
	'what the last run did: score, refit, held, dry, rollback, skipped';
COMMENT ON COLUMN kseg_overview.last_reason IS
	'why it did that, in words';
COMMENT ON COLUMN kseg_overview.held_version IS
	'newest model that was held back and waits for a decision; null: none newer than the one in use';
COMMENT ON COLUMN kseg_overview.labels_to_review IS
	'labels that somebody should look at, since their segment is no longer what it was';
COMMENT ON COLUMN kseg_overview.drift IS
	'largest population stability index, of the last run that measured it: below 0.1 stable, from 0.25 drifted';
COMMENT ON COLUMN kseg_overview.proposed_k IS
	'number of segments that the evidence spoke for at the last refit, when it is another than the segmentation has';

-- ---- labels ----

CREATE VIEW kseg_segment_labels WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, n.segment,
		coalesce(l.label, n.name) AS label, n.name AS automatic_label,
		l.note, l.review, l.labelled, l.labelled_by::text AS labelled_by
	FROM kseg_segmentations AS s
		JOIN kseg_names AS n ON n.segmentation = s.id
		LEFT JOIN kseg_labels AS l
			ON l.segmentation = n.segmentation AND l.segment = n.segment;

COMMENT ON VIEW kseg_segment_labels IS
	'what segments are called, and which labels need a review; a row for each segment, also those that have ended';
COMMENT ON COLUMN kseg_segment_labels.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_segment_labels.segment IS
	'id of the segment, which it keeps from one model to the next';
COMMENT ON COLUMN kseg_segment_labels.label IS
	'label of the segment: given by people, else automatic';
COMMENT ON COLUMN kseg_segment_labels.automatic_label IS
	'its label in words of the features';
COMMENT ON COLUMN kseg_segment_labels.note IS
	'what was noted with the label';
COMMENT ON COLUMN kseg_segment_labels.review IS
	'why somebody should look whether the label still fits; null: it does';
COMMENT ON COLUMN kseg_segment_labels.labelled IS
	'when the label was given; null: nobody gave one';
COMMENT ON COLUMN kseg_segment_labels.labelled_by IS
	'who gave the label';

-- ---- runs ----

CREATE VIEW kseg_run_log WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, r.id AS run_id, r.started AS at, r.mode,
		r.action, r.reason, r.version, r.refit_version, r.scored, r.changed,
		r.new, r.gone, r.unassigned, kseg_finite(r.drift) AS drift,
		kseg_finite(r.inertia_ratio) AS inertia_ratio, r.held, r.proposed_k,
		r.run_by::text AS run_by,
		extract(epoch FROM r.elapsed)::double precision AS seconds
	FROM kseg_segmentations AS s
		JOIN kseg_runs AS r ON r.segmentation = s.id;

COMMENT ON VIEW kseg_run_log IS
	'what each run did, why, and how long it took; a row for each run';
COMMENT ON COLUMN kseg_run_log.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_run_log.run_id IS
	'number of the run';
COMMENT ON COLUMN kseg_run_log.at IS
	'when the run started';
COMMENT ON COLUMN kseg_run_log.mode IS
	'what was asked for: auto, score, refit, dry, rollback';
COMMENT ON COLUMN kseg_run_log.action IS
	'what was done: score, refit, held, dry, rollback, skipped';
COMMENT ON COLUMN kseg_run_log.reason IS
	'why, in words';
COMMENT ON COLUMN kseg_run_log.version IS
	'version of the model that gave the segments';
COMMENT ON COLUMN kseg_run_log.refit_version IS
	'version of the model that the run fitted; null: it fitted none';
COMMENT ON COLUMN kseg_run_log.scored IS
	'customers with a segment';
COMMENT ON COLUMN kseg_run_log.changed IS
	'customers that went from one segment to another';
COMMENT ON COLUMN kseg_run_log.new IS
	'customers that had no segment before';
COMMENT ON COLUMN kseg_run_log.gone IS
	'customers that have no segment any more';
COMMENT ON COLUMN kseg_run_log.unassigned IS
	'rows of the query without a segment, as of a missing value';
COMMENT ON COLUMN kseg_run_log.drift IS
	'largest population stability index of a feature or of the segments'' shares: below 0.1 stable, from 0.25 drifted';
COMMENT ON COLUMN kseg_run_log.inertia_ratio IS
	'mean squared distance of customers from their centroid, divided by that of the fit; 1: as then';
COMMENT ON COLUMN kseg_run_log.held IS
	'the run fitted a model that was held back';
COMMENT ON COLUMN kseg_run_log.proposed_k IS
	'number of segments that the evidence speaks for, when it is another than the segmentation has';
COMMENT ON COLUMN kseg_run_log.run_by IS
	'who ran it';
COMMENT ON COLUMN kseg_run_log.seconds IS
	'how long the run took';

CREATE VIEW kseg_run_drift WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, r.id AS run_id, r.started AS at, d.feature,
		d.segment, n.label, kseg_finite(d.psi) AS psi,
		kseg_finite(d.share_then) AS share_then,
		kseg_finite(d.share_now) AS share_now, kseg_finite(d.shift) AS shift,
		d.verdict
	FROM kseg_segmentations AS s
		JOIN kseg_runs AS r ON r.segmentation = s.id
		JOIN kseg_drifts AS d ON d.run = r.id
		LEFT JOIN kseg_shown_labels AS n
			ON n.segmentation = s.id AND n.segment = d.segment;

COMMENT ON VIEW kseg_run_drift IS
	'how far the customers of each run were from those of the fit; a row for each run and feature, and for each run and segment';
COMMENT ON COLUMN kseg_run_drift.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_run_drift.run_id IS
	'number of the run';
COMMENT ON COLUMN kseg_run_drift.at IS
	'when the run started';
COMMENT ON COLUMN kseg_run_drift.feature IS
	'name of the feature; null in rows about a segment';
COMMENT ON COLUMN kseg_run_drift.segment IS
	'id of the segment; null in rows about a feature';
COMMENT ON COLUMN kseg_run_drift.label IS
	'label of the segment, the one it has now: given by people, else automatic';
COMMENT ON COLUMN kseg_run_drift.psi IS
	'population stability index; of a segment: its part of that of the shares';
COMMENT ON COLUMN kseg_run_drift.share_then IS
	'share of the fit''s rows in the segment, 0 to 1';
COMMENT ON COLUMN kseg_run_drift.share_now IS
	'share of the run''s customers in the segment, 0 to 1';
COMMENT ON COLUMN kseg_run_drift.shift IS
	'how far the mean went: of a feature in standard deviations, of a segment in its rows'' mean distance';
COMMENT ON COLUMN kseg_run_drift.verdict IS
	'stable, shifting or drifted';

-- A filter reaches below the window function when it is about what stands in
-- PARTITION BY: hence all that people filter by, and what tells most rows
-- apart first, for the sort.
CREATE VIEW kseg_run_migration WITH (security_invoker = true) AS
	SELECT m.segmentation, m.run_id, m.at, m.from_segment,
		from_n.label AS from_label, m.to_segment, to_n.label AS to_label,
		m.customers,
		CASE WHEN m.from_segment IS NOT NULL
			THEN m.customers / nullif(m.before, 0) END AS share
	FROM (SELECT s.id, s.name AS segmentation, r.id AS run_id,
				r.started AS at, v.from_segment, v.to_segment, v.customers,
				sum(v.customers::double precision) OVER (PARTITION BY r.id,
					v.from_segment, r.started, s.id, s.name) AS before
			FROM kseg_segmentations AS s
				JOIN kseg_runs AS r ON r.segmentation = s.id
				JOIN kseg_moves AS v ON v.run = r.id) AS m
		LEFT JOIN kseg_shown_labels AS from_n
			ON from_n.segmentation = m.id AND from_n.segment = m.from_segment
		LEFT JOIN kseg_shown_labels AS to_n
			ON to_n.segmentation = m.id AND to_n.segment = m.to_segment;

COMMENT ON VIEW kseg_run_migration IS
	'how many customers each run moved from which segment to which, those who stayed included; a row for each run and pair of segments';
COMMENT ON COLUMN kseg_run_migration.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_run_migration.run_id IS
	'number of the run';
COMMENT ON COLUMN kseg_run_migration.at IS
	'when the run started';
COMMENT ON COLUMN kseg_run_migration.from_segment IS
	'id of the segment before the run; null: customers that had none';
COMMENT ON COLUMN kseg_run_migration.from_label IS
	'label of that segment, the one it has now: given by people, else automatic';
COMMENT ON COLUMN kseg_run_migration.to_segment IS
	'id of the segment after the run; null: customers that have none any more';
COMMENT ON COLUMN kseg_run_migration.to_label IS
	'label of that segment, the one it has now: given by people, else automatic';
COMMENT ON COLUMN kseg_run_migration.customers IS
	'how many customers';
COMMENT ON COLUMN kseg_run_migration.share IS
	'their share of all who were in from_segment before the run, 0 to 1; null for new customers';

-- ---- the model in use ----

CREATE VIEW kseg_latest_elbow WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, m.version, e.k,
		kseg_finite(e.inertia) AS inertia, kseg_finite(e.explained) AS explained,
		kseg_finite(e.drop_pct) AS drop_pct,
		kseg_finite(e.silhouette) AS silhouette,
		kseg_finite(e.davies_bouldin) AS davies_bouldin,
		kseg_finite(e.calinski_harabasz) AS calinski_harabasz,
		kseg_finite(e.smallest_share) AS smallest_share, e.is_knee,
		e.is_best_silhouette, e.k = i.k AS is_in_use, e.note
	FROM kseg_segmentations AS s
		JOIN kseg_models AS m
			ON m.segmentation = s.id AND m.version = s.version
		CROSS JOIN LATERAL kseg_info(m.model) AS i
		JOIN kseg_elbows AS e
			ON e.segmentation = s.id AND e.version = s.version;

COMMENT ON VIEW kseg_latest_elbow IS
	'how good each number of segments was when the model in use was fitted, from a sample of the rows; a row for each number of segments';
COMMENT ON COLUMN kseg_latest_elbow.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_latest_elbow.version IS
	'version of the model in use';
COMMENT ON COLUMN kseg_latest_elbow.k IS
	'number of segments';
COMMENT ON COLUMN kseg_latest_elbow.inertia IS
	'sum of squared distances of the rows from their centroid';
COMMENT ON COLUMN kseg_latest_elbow.explained IS
	'share of the rows'' spread that the segments explain, 0 to 1';
COMMENT ON COLUMN kseg_latest_elbow.drop_pct IS
	'how many percent the inertia is lower than with one segment less';
COMMENT ON COLUMN kseg_latest_elbow.silhouette IS
	'how well the segments are apart, -1 to 1; higher is better';
COMMENT ON COLUMN kseg_latest_elbow.davies_bouldin IS
	'how much the segments are like each other; lower is better';
COMMENT ON COLUMN kseg_latest_elbow.calinski_harabasz IS
	'spread between the segments against spread within; higher is better';
COMMENT ON COLUMN kseg_latest_elbow.smallest_share IS
	'share of the rows in the smallest segment, 0 to 1';
COMMENT ON COLUMN kseg_latest_elbow.is_knee IS
	'where the curve of the inertia bends most';
COMMENT ON COLUMN kseg_latest_elbow.is_best_silhouette IS
	'where the silhouette is highest';
COMMENT ON COLUMN kseg_latest_elbow.is_in_use IS
	'the number of segments that the model in use has';
COMMENT ON COLUMN kseg_latest_elbow.note IS
	'what the figures mean, in words';

CREATE VIEW kseg_latest_scatter WITH (security_invoker = true) AS
	SELECT s.name AS segmentation, p.version, p.segment, n.label,
		kseg_finite(p.x) AS x, kseg_finite(p.y) AS y
	FROM kseg_segmentations AS s
		JOIN kseg_points AS p
			ON p.segmentation = s.id AND p.version = s.version
		LEFT JOIN kseg_shown_labels AS n
			ON n.segmentation = s.id AND n.segment = p.segment;

COMMENT ON VIEW kseg_latest_scatter IS
	'a sample of the rows that the model in use was fitted to, on their two principal axes; a row for each point of a scatter plot';
COMMENT ON COLUMN kseg_latest_scatter.segmentation IS
	'name of the segmentation';
COMMENT ON COLUMN kseg_latest_scatter.version IS
	'version of the model in use';
COMMENT ON COLUMN kseg_latest_scatter.segment IS
	'id of the segment of the row';
COMMENT ON COLUMN kseg_latest_scatter.label IS
	'label of the segment: given by people, else automatic';
COMMENT ON COLUMN kseg_latest_scatter.x IS
	'place on the axis along which the rows differ most';
COMMENT ON COLUMN kseg_latest_scatter.y IS
	'place on the axis along which they differ most besides';

GRANT SELECT ON kseg_overview, kseg_segment_labels, kseg_run_log,
	kseg_run_drift, kseg_run_migration, kseg_latest_elbow, kseg_latest_scatter
	TO PUBLIC;
