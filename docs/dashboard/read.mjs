// What the page shows, read from kseg's views.

// Identifiers are quoted by the server: the schema that kseg is in may have
// any name, and need not be in the search path.
async function schemaOf(client) {
	const { rows } = await client.query(`
		SELECT quote_ident(n.nspname) AS schema, e.extversion AS version,
			current_database() AS database
		FROM pg_catalog.pg_extension AS e
			JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
		WHERE e.extname = 'kseg'`);

	if (rows.length === 0)
		throw new Error('this database has no extension kseg');
	return rows[0];
}

// The one that was asked for, or the only one.
export async function findSegmentation(client, wanted) {
	const kseg = await schemaOf(client);
	const { rows } = await client.query(
		`SELECT segmentation FROM ${kseg.schema}.kseg_overview ORDER BY 1`);
	const names = rows.map(row => row.segmentation);
	const list = names.length === 0 ? 'There is none that you may see.' :
		`There are: ${names.slice(0, 20).join(', ')}`;

	if (wanted !== undefined && !names.includes(wanted))
		throw new Error(`no segmentation "${wanted}". ${list}`);
	if (wanted === undefined && names.length !== 1)
		throw new Error(`say which with --segmentation. ${list}`);
	return { kseg, name: wanted ?? names[0] };
}

export async function read(client, { kseg, name }, { runs, rules }) {
	const ask = async (text, ...values) => (await client.query(
		text.replaceAll('kseg.', () => `${kseg.schema}.`),
		[name, ...values])).rows;

	const [overview] = await ask(
		'SELECT * FROM kseg.kseg_overview WHERE segmentation = $1');
	const log = await ask(`
		SELECT * FROM kseg.kseg_run_log WHERE segmentation = $1
		ORDER BY at DESC, run_id DESC LIMIT $2`, runs);
	const shown = log.map(run => run.run_id);
	const [elbow] = await ask(`
		SELECT coalesce(jsonb_agg(e ORDER BY k), '[]') AS rows,
			kseg.kseg_plot_elbow(coalesce(jsonb_agg(e ORDER BY k), '[]'))
				AS picture
		FROM kseg.kseg_latest_elbow AS e WHERE segmentation = $1`);
	// The model's features say which values are dates; values in words come
	// from what the picture is made of.
	const [profile] = await ask(`
		WITH p AS MATERIALIZED (
			SELECT kseg.kseg_plot_kinds((SELECT jsonb_agg(p)
					FROM kseg.kseg_latest_profile AS p
					WHERE p.segmentation = $1), m.model) AS rows
			FROM kseg.kseg_segmentations AS s
				JOIN kseg.kseg_models AS m
					ON m.segmentation = s.id AND m.version = s.version
			WHERE s.name = $1
		)
		SELECT kseg.kseg_plot_profile(p.rows) AS picture,
			(SELECT jsonb_agg(r ORDER BY place, segment)
				FROM kseg.kseg_plot_rows(p.rows) AS r) AS rows,
			(SELECT jsonb_object_agg(segment, label)
				FROM jsonb_to_recordset(p.rows) AS r (segment int, label text))
				AS labels
		FROM p`);
	const scatter = await ask(`
		SELECT segment, label, x, y FROM kseg.kseg_latest_scatter
		WHERE segmentation = $1 ORDER BY segment, x, y`);
	const sizes = await ask(`
		SELECT run_id, at, segment, label, size, share
		FROM kseg.kseg_segment_sizes
		WHERE segmentation = $1 AND run_id = ANY ($2)
		ORDER BY at, run_id, segment`, shown);
	const migration = await ask(`
		SELECT run_id, at, from_segment, from_label, to_segment, to_label,
			customers, share
		FROM kseg.kseg_run_migration
		WHERE segmentation = $1 AND run_id = $2
		ORDER BY from_segment NULLS LAST, to_segment NULLS LAST`,
	lastMove(log));
	const drift = await ask(`
		SELECT run_id, at, feature, segment, label, psi, share_then, share_now,
			shift, verdict
		FROM kseg.kseg_run_drift
		WHERE segmentation = $1 AND run_id = ANY ($2)
		ORDER BY at, run_id, feature, segment`, shown);
	const notes = await ask(`
		SELECT segment, note, review FROM kseg.kseg_segment_labels
		WHERE segmentation = $1 ORDER BY segment`);

	return {
		kseg, name, overview, log, elbow, profile, scatter, sizes, migration,
		drift, notes, rules: rules ? await readRules(ask) : [],
		made: new Date(),
	};
}

// The last run after which somebody was in another segment than before; when
// none was, the first.
function lastMove(log) {
	const moved = run => run.changed > 0 || run.new > 0 || run.gone > 0;

	return (log.find(moved) ?? log[log.length - 1])?.run_id ?? null;
}

// The segmentation's query is its owner's text: it must not run with the
// rights of anybody else who wants to see a page.
async function readRules(ask) {
	const [{ may }] = await ask(`
		SELECT owner = current_user::regrole AND current_user = session_user
			AS may
		FROM kseg.kseg_segmentations WHERE name = $1`);

	if (!may) {
		console.error(
			'dashboard.mjs: rules are for the segmentation\'s owner; left out');
		return [];
	}
	return ask(`
		SELECT e.segment, e.rule, e.coverage, e.precision
		FROM kseg.kseg_segmentations AS s
			JOIN kseg.kseg_models AS m
				ON m.segmentation = s.id AND m.version = s.version,
			kseg.kseg_explain(m.model, s.resolved_query) AS e
		WHERE s.name = $1`);
}
