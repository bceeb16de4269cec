// The page: one file of HTML.
//
// Its policy forbids it to ask the network for anything and to run any script
// but the two whose hashes it names; so what stands in the data cannot run, and
// on top of that all of it is escaped (words.mjs).

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as charts from './charts.mjs';
import {
	ago, count, date, day, decimal, hoursBetween, html, jsonInScript, moment,
	percent, plural, points, seconds, verbatim, zone,
} from './words.mjs';

const file = (name, encoding) =>
	readFileSync(new URL(name, import.meta.url), encoding);
const here = name => file(name, 'utf8');

// A run every night, and an hour or two for it to be late.
const lateAfterHours = 26;

// ---- what the page carries ----

const library = name => here(`node_modules/${name}/build/${name}.min.js`)
	.replace(/^\/\/# sourceMappingURL=.*$/m, '');
// Neither closes the element that it stands in, nor opens a comment in it.
const inScript = code => code.replace(/<(?=\/script|script|!--)/gi, '\\x3C');
const hash = text =>
	`'sha256-${createHash('sha256').update(text).digest('base64')}'`;

function typeface(name, variant, family) {
	const bytes = file(
		`node_modules/@fontsource-variable/${name}/files/${name}-${variant}.woff2`);

	return `@font-face { font-family: "${family}"; font-weight: 200 900; ` +
		'font-display: block; ' +
		`src: url(data:font/woff2;base64,${bytes.toString('base64')}) }\n`;
}

// ---- pieces ----

const chip = segment =>
	html`<span class="chip s${charts.colourNumber(segment)}">${segment}</span>`;

function table(caption, heads, rows, wide) {
	const body = html`<table>
<caption>${caption}</caption>
<thead><tr>${heads.map(head => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows.map(([first, ...cells]) => html`<tr><th scope="row">${first}</th>${
	cells.map(cell => html`<td>${cell}</td>`)}</tr>
`)}</tbody></table>`;

	// what can be scrolled must be reached by the keyboard too
	return html`<div class="scroll${wide ? ' wide' : ''}" tabindex="0" role="region"
aria-label="${caption}">${body}</div>`;
}

// A picture, what it says in words, and its numbers.
function figure({ id, title, words, alternative, spec, key, numbers }) {
	return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
<p class="words">${words}</p>
${key}
<figure>
<div class="chart" id="${id}-chart" role="img" aria-label="${alternative}"></div>
</figure>
<script type="application/json" data-for="${id}-chart">${jsonInScript(spec)}</script>
<details><summary>The numbers</summary>
${numbers}
</details>
</section>`;
}

function absent(id, title, words) {
	return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
<p class="words">${words}</p>
</section>`;
}

const listed = list => list.length < 2 ? list.join('') :
	`${list.slice(0, -1).join(', ')} and ${list.at(-1)}`;

const verdict = psi => psi === null || psi === undefined ? 'not measured' :
	psi < 0.1 ? 'stable' : psi < 0.25 ? 'shifting' : 'drifted';

// ---- what needs somebody ----

// Of a run's reasons, those why its model was held, if it says so.
function whyHeld(run) {
	const reasons = (run?.reason ?? '').split('; ');
	const said = reasons.filter(reason => reason.startsWith('held: '))
		.map(reason => reason.slice('held: '.length));

	return (said.length > 0 ? said : reasons).join('; ');
}

function warnings({ overview, log, notes, made }) {
	const list = [];
	const late = overview.last_run &&
		hoursBetween(overview.last_run, made) > lateAfterHours;
	const held = log.find(run => run.held &&
		run.refit_version === overview.held_version);
	const review = notes.filter(note => note.review !== null);

	if (overview.held_version !== null)
		list.push(['A new model is held', html`Version ${overview.held_version}
was fitted${held ? ` on ${day(held.at)}` : ''} and not
published${held?.reason && html`: ${whyHeld(held)}`}. Version
${overview.version} stays in use until somebody decides.`]);
	if (overview.labels_to_review > 0)
		list.push([`${plural(overview.labels_to_review, 'label')} to review`,
			html`${review.map(note => html`${chip(note.segment)} ${note.review}. `)}
Does the name still fit?`]);
	if (late)
		list.push(['The last run is old', html`It was ${ago(overview.last_run,
			made)}; a run every night would be at most a day old.`]);
	if (overview.proposed_k !== null &&
		overview.proposed_k !== overview.segments)
		list.push([`${plural(overview.proposed_k, 'segment')} proposed`,
			html`At the last fit the evidence spoke for ${overview.proposed_k};
${overview.segments} are in use.`]);
	if (list.length === 0)
		return html`<p class="calm">Nothing needs attention.</p>`;
	return html`<section class="warnings" aria-labelledby="attention">
<h2 id="attention">Needs attention</h2>
<ul>${list.map(([title, words]) =>
	html`<li><strong>${title}</strong> <span>${words}</span></li>
`)}</ul></section>`;
}

// ---- headline numbers ----

// Where the index stands between 0 and what counts as twice drifted.
function gauge(psi) {
	const place = x => 100 * Math.min(x, 0.5) / 0.5;

	return html`<svg class="gauge" viewBox="0 0 100 6" preserveAspectRatio="none"
aria-hidden="true"><rect width="100" height="6" class="d1"/><rect
x="${place(0.1)}" width="80" height="6" class="d3"/><rect x="${place(0.25)}"
width="50" height="6" class="d4"/><rect x="${place(psi) - 0.6}" width="1.2"
height="6" class="needle"/></svg>`;
}

const outcomes = {
	score: 'scored', refit: 'fitted again', held: 'new model held',
	dry: 'dry run', rollback: 'rolled back', skipped: 'skipped',
};
const outcome = action => outcomes[action] ?? action;

function headlines({ overview, log, made }) {
	const [last] = log;
	const kept = overview.last_run !== null;
	const age = kept ? ago(overview.last_run, made) : 'never';

	return html`<dl class="headlines">
<div><dt>Customers</dt><dd>${count(overview.customers)}</dd>
<dd class="note">${last ? `${count(last.new ?? 0)} new, ${
	count(last.gone ?? 0)} gone in the last run` : ''}</dd></div>
<div><dt>Segments</dt><dd>${count(overview.segments)}</dd>
<dd class="note">${overview.version === null ? '' : `version ${overview.version}${
	overview.fitted ? `, fitted ${date(overview.fitted)}` : ''}`}</dd></div>
<div><dt>Last run</dt><dd>${age.replace(/ ago$/, '')}${age.endsWith(' ago') &&
		html`<span class="unit"> ago</span>`}</dd>
<dd class="note">${kept ? `${outcome(overview.last_action)}, ${
	count(last?.changed ?? 0)} moved, ${seconds(last?.seconds)}` : ''}</dd></div>
<div><dt>Drift</dt><dd>${decimal(overview.drift)}</dd>
<dd class="note">${verdict(overview.drift)}${overview.drift !== null &&
	gauge(overview.drift)}</dd></div>
</dl>`;
}

// ---- segments ----

function spark(values) {
	if (values.length < 3)
		return null;
	const low = Math.min(...values);
	const span = Math.max(...values) - low || 1;
	const line = values.map((value, i) => `${
		(1 + 98 * i / (values.length - 1)).toFixed(1)},${
		(22 - 20 * (value - low) / span).toFixed(1)}`).join(' ');

	return html`<svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none"
aria-hidden="true"><polyline points="${line}"/></svg>`;
}

// How far a mean is from all; the longest bar of all cards fills its half.
function bar(z, longest) {
	const width = 50 * Math.abs(z) / longest;

	return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none"
aria-hidden="true"><rect x="${(z < 0 ? 50 - width : 50).toFixed(1)}" width="${
	width.toFixed(1)}" height="8"/><line x1="50" x2="50" y2="8"/></svg>`;
}

// The segments in use: those of the model, with the sizes of the last run.
function segmentsOf({ profile, sizes, overview, notes, rules }) {
	const rows = profile?.rows ?? [];
	const last = sizes.at(-1)?.run_id;
	const ids = [...new Set(rows.map(row => row.segment))];

	for (const row of sizes)
		if (row.run_id === last && !ids.includes(row.segment))
			ids.push(row.segment);
	return ids.sort((a, b) => a - b).map(id => {
		const history = sizes.filter(row => row.segment === id);
		const now = history.find(row => row.run_id === last);
		const features = rows.filter(row => row.segment === id);

		return {
			id, history, features,
			label: now?.label ?? profile?.labels?.[id] ?? `segment ${id}`,
			size: now?.size ?? features[0]?.size ?? null,
			share: now?.share ?? features[0]?.share ?? null,
			note: notes.find(note => note.segment === id),
			rule: rules.find(rule => rule.segment === id),
			version: overview.version,
		};
	});
}

function card({ id, label, size, share, history, features, note, rule },
	longest) {
	const strongest = features
		.filter(row => row.z !== null && Math.abs(row.z) >= 0.1)
		.sort((a, b) => Math.abs(b.z) - Math.abs(a.z)).slice(0, 4);
	const change = history.length > 1 ?
		history.at(-1).share - history[0].share : null;

	return html`<li class="card s${charts.colourNumber(id)}">
<h3>${chip(id)}<span>${label}</span></h3>
<p class="size"><b>${count(size)}</b> <span>${percent(share)}</span></p>
<div class="trend">${spark(history.map(row => row.share))}${change !== null &&
	html`<span>${points(change)} points since ${day(history[0].at)}</span>`}</div>
${strongest.length > 0 ? html`<table class="traits"><caption class="unseen">What
stands out in segment ${id}</caption>
<thead class="unseen"><tr><th scope="col">feature</th><th scope="col">against
all</th><th scope="col">here</th><th scope="col">all</th></tr></thead>
<tbody>${strongest.map(row => html`<tr><th scope="row">${row.feature}</th>
<td>${bar(row.z, longest)}<span class="unseen">${row.z > 0 ? 'above' : 'below'} the
average</span></td><td>${row.value}</td><td>${row.average}</td></tr>
`)}</tbody></table>` : html`<p class="note">Nothing stands out: it is like all.</p>`}
${rule?.rule && html`<p class="rule"><code>${rule.rule}</code><span>finds ${
	percent(rule.coverage, 0)} of the segment; ${percent(rule.precision, 0)} of
those it finds are in it</span></p>`}
${note?.note && html`<p class="note">${note.note}</p>`}
${note?.review && html`<p class="review">Review the label: ${note.review}.</p>`}
</li>
`;
}

function cards(facts, segments) {
	if (segments.length === 0)
		return absent('segments', 'Segments', 'No run has made any yet.');
	const longest = Math.max(...segments.flatMap(
		segment => segment.features.map(row => Math.abs(row.z ?? 0))), 1);

	return html`<section id="segments" aria-labelledby="segments-title">
<h2 id="segments-title">Segments</h2>
<p class="words">With what stands out in each. The bars say how far its average
is from that of all customers; the last column is that of all.</p>
<ul class="cards">
${segments.map(segment => card(segment, longest))}</ul>
</section>`;
}

// ---- pictures ----

function profileFigure({ profile }, segments) {
	const title = 'What sets them apart';

	if (!profile?.rows)
		return absent('profile', title, 'No model is in use yet.');
	const features = [...new Set(profile.rows.map(row => row.feature))];
	const at = new Map(profile.rows.map(row =>
		[`${row.segment} ${row.feature}`, row]));

	return figure({
		id: 'profile', title,
		words: `How far the average of each segment is from that of all
customers, in standard deviations. The features at the top tell the segments
apart best.`,
		alternative: `Profile of ${plural(segments.length, 'segment')} in ${
			plural(features.length, 'feature')}; ${features[0]} tells them apart best`,
		spec: charts.profileChart(profile.picture),
		numbers: table('Averages of the segments', ['feature', 'all',
			...segments.map(segment => chip(segment.id))],
		features.map(feature => [feature,
			profile.rows.find(row => row.feature === feature).average,
			...segments.map(segment =>
				at.get(`${segment.id} ${feature}`)?.value ?? '–')]), true),
	});
}

function scatterFigure({ scatter }, segments) {
	const title = 'The customers on a plane';

	if (scatter.length === 0)
		return absent('scatter', title, 'The model in use came without a sample.');
	const shown = segments.map(segment => ({ ...segment,
		points: scatter.filter(row => row.segment === segment.id) }))
		.filter(segment => segment.points.length > 0);
	const mean = (list, field) => list.reduce(
		(sum, row) => sum + row[field], 0) / list.length;

	return figure({
		id: 'scatter', title,
		words: `${plural(scatter.length, 'customer')} of the last fit, on the plane
that shows most of their differences: what is near is alike.`,
		alternative: `Scatter plot of ${plural(scatter.length, 'customer')} in ${
			plural(shown.length, 'segment')}`,
		spec: charts.scatterChart(scatter),
		numbers: table('Centers of the segments on the plane',
			['segment', 'customers shown', 'across', 'up'],
			shown.map(({ id, label, points: list }) =>
				[html`${chip(id)} ${label}`, count(list.length),
					decimal(mean(list, 'x')), decimal(mean(list, 'y'))])),
	});
}

function elbowFigure({ elbow, overview }) {
	const title = 'How many segments';

	if (elbow.rows.length === 0)
		return absent('elbow', title,
			'The last fit came without other numbers of segments to compare.');
	const knee = elbow.rows.find(row => row.is_knee)?.k;
	const used = elbow.rows.find(row => row.is_in_use)?.k ?? overview.segments;

	return figure({
		id: 'elbow', title,
		words: `${count(used)} are in use. ${
			charts.findings(elbow.picture).join(' ')}`,
		alternative: `Inertia and silhouette for ${elbow.rows[0].k} to ${
			elbow.rows.at(-1).k} segments; ${knee === undefined ?
			'there is no elbow' : `the elbow is at ${knee}`}`,
		spec: charts.elbowChart(elbow.picture),
		numbers: table('Each number of segments',
			['segments', 'inertia', 'explained', 'silhouette', 'smallest', 'note'],
			elbow.rows.map(row => [row.k, count(row.inertia),
				percent(row.explained), decimal(row.silhouette, 3),
				percent(row.smallest_share), row.note]), true),
	});
}

function sizesFigure({ sizes, log }, segments) {
	const title = 'Sizes over time';

	if (sizes.length === 0)
		return absent('sizes', title, 'No run has written segments yet.');
	const runs = [...new Set(sizes.map(row => row.run_id))];
	const size = new Map(sizes.map(row => [`${row.run_id} ${row.segment}`, row]));
	const ids = [...new Set(sizes.map(row => row.segment))].sort((a, b) => a - b);
	const when = new Map(sizes.map(row => [row.run_id, row.at]));

	return figure({
		id: 'sizes', title,
		words: `Customers of each segment after each of the last ${
			plural(runs.length, 'run')}. Dotted lines are new models.`,
		alternative: `Sizes of ${plural(ids.length, 'segment')} after ${
			plural(runs.length, 'run')}, from ${day(sizes[0].at)} to ${
			day(sizes.at(-1).at)}`,
		spec: charts.sizesChart(sizes, log),
		numbers: table('Customers after each run',
			['run', ...ids.map(chip)],
			runs.reverse().map(run => [moment(when.get(run)),
				...ids.map(id => count(size.get(`${run} ${id}`)?.size))]), true),
	});
}

function key(items) {
	return html`<ul class="legend">${items.map(([look, words]) =>
		html`<li><span class="swatch ${look}"></span>${words}</li>`)}</ul>`;
}

function migrationFigure({ migration, log }) {
	const title = 'Who moved where';

	if (migration.length === 0)
		return absent('migration', title, 'No run has moved anybody yet.');
	const moves = migration.filter(row => row.from_segment !== null &&
		row.to_segment !== null && row.from_segment !== row.to_segment);
	const most = moves.reduce((a, b) => b.customers > (a?.customers ?? 0) ? b : a,
		null);
	const run = log.find(entry => entry.run_id === migration[0].run_id);
	const total = moves.reduce((sum, row) => sum + row.customers, 0);
	const name = (segment, label, other) => segment === null ? other :
		html`${chip(segment)} ${label}`;

	return figure({
		id: 'migration', title,
		words: html`In the run of ${moment(migration[0].at)}${
			run?.action === 'refit' && ', which fitted a new model'},
${plural(total, 'customer')} went to another segment${most && html`; most, ${
	count(most.customers)}, from ${chip(most.from_segment)} to
${chip(most.to_segment)}`}.`,
		key: key([['stayed', 'stayed, or new'], ['h1', 'few of the segment'],
			['h5', 'most of those that moved']]),
		alternative: `Customers by the segment before and after the run: ${
			plural(total, 'customer')} went to another`,
		spec: charts.migrationChart(migration),
		numbers: table('Customers by segment before and after', ['from', 'to', 'customers',
			'of those in “from”'],
		migration.map(row => [name(row.from_segment, row.from_label, 'new'),
			name(row.to_segment, row.to_label, 'gone'), count(row.customers),
			percent(row.share, 2)])),
	});
}

function driftFigure({ drift }) {
	const title = 'Drift';
	const rows = charts.driftRows(drift);

	if (rows.length === 0)
		return absent('drift', title,
			'Not measured yet: that begins with the second run.');
	const last = rows.at(-1).run;
	const now = drift.filter(row => row.run_id === last);
	const far = rows.filter(row => row.run === last && row.psi >= 0.1)
		.sort((a, b) => b.psi - a.psi)
		.map(row => `${row.feature} (${decimal(row.psi)})`);

	return figure({
		id: 'drift', title,
		words: `How far the customers of each run were from those of the fit, as
population stability index. ${far.length === 0 ? 'At the last run all was stable.' :
		`At the last run, ${listed(far)} had moved.`}`,
		key: key([['d1', 'stable'], ['d2', 'stable, from 0.05'],
			['d3', 'shifting, from 0.1'], ['d4', 'drifted, from 0.25']]),
		alternative: `Population stability index of ${
			plural(new Set(rows.map(row => row.feature)).size, 'feature')} over ${
			plural(new Set(rows.map(row => row.run)).size, 'run')}; ${
			far.length === 0 ? 'all are stable now' : `${listed(far)} moved`}`,
		spec: charts.driftChart(rows),
		numbers: table('The last run against the fit',
			['feature or segment', 'PSI', 'share then', 'share now', 'mean moved by', 'verdict'],
			now.map(row => [row.feature ?? html`${chip(row.segment)} ${row.label}`,
				decimal(row.psi, 3), percent(row.share_then), percent(row.share_now),
				decimal(row.shift), row.verdict]), true),
	});
}

// ---- runs ----

function runs({ log }) {
	return html`<section id="runs" aria-labelledby="runs-title">
<h2 id="runs-title">Last runs</h2>
<table class="runs"><caption class="unseen">The last runs, newest first</caption>
<thead><tr><th scope="col">when</th><th scope="col">what was done</th><th
scope="col">why</th><th scope="col">moved</th><th scope="col">new</th><th
scope="col">gone</th><th scope="col">drift</th><th scope="col">took</th></tr></thead>
<tbody>${log.slice(0, 14).map(run => html`<tr class="${run.held ? 'held' :
	run.action === 'score' ? 'plain' : 'other'}"><th scope="row">${
	moment(run.at)}</th><td><b>${outcome(run.action)}</b></td><td>${
	run.reason}</td><td data-name="moved">${
	count(run.changed)}</td><td data-name="new">${
	count(run.new)}</td><td data-name="gone">${
	count(run.gone)}</td><td data-name="drift">${
	decimal(run.drift)}</td><td data-name="took">${
	seconds(run.seconds)}</td></tr>
`)}</tbody></table>
</section>`;
}

// ---- all of it ----

// Which is the largest, and what grew or shrank most while we looked.
function summary({ overview }, segments) {
	const [largest] = [...segments].sort((a, b) => (b.size ?? 0) - (a.size ?? 0));
	const change = ({ history }) =>
		history.length > 1 ? history.at(-1).share - history[0].share : 0;
	const [moved] = [...segments].sort((a, b) =>
		Math.abs(change(b)) - Math.abs(change(a)));
	const name = ({ id, label }) => html`${chip(id)} ${label}`;

	if (overview.last_run === null || largest === undefined)
		return 'It is registered and has not run yet.';
	return html`The largest segment is ${name(largest)}, with
${percent(largest.share, 0)} of all customers.${
	Math.abs(change(moved)) >= 0.001 && html` Since ${day(moved.history[0].at)},
${name(moved)} has ${change(moved) > 0 ? 'grown' : 'shrunk'} most, by
${points(Math.abs(change(moved))).slice(1)} points.`}`;
}

function notRun({ name }) {
	return html`<p class="words">The first run fits a model, gives each customer
a segment, and fills this page:</p>
<p class="rule"><code>SELECT * FROM kseg_run(${`'${name.replaceAll('\'', '\'\'')}'`});</code></p>`;
}

function sections(facts, segments) {
	return html`${warnings(facts)}
${cards(facts, segments)}
${profileFigure(facts, segments)}
<div class="pair">
${scatterFigure(facts, segments)}
${elbowFigure(facts)}
</div>
${sizesFigure(facts, segments)}
<div class="pair">
${migrationFigure(facts)}
${driftFigure(facts)}
</div>
${runs(facts)}`;
}

export function page(facts) {
	const { kseg, name, overview, made } = facts;
	const segments = segmentsOf(facts);
	const style = typeface('inter', 'latin-wght-normal', 'Inter Variable') +
		typeface('source-serif-4', 'latin-wght-normal',
			'Source Serif 4 Variable') + here('page.css');
	const libraries = ['vega', 'vega-lite', 'vega-embed']
		.map(library).map(inScript).join('\n');
	const script = inScript(here('show.js'));
	const policy = `default-src 'none'; script-src ${hash(libraries)} ${
		hash(script)}; style-src ${hash(style)}; img-src data:; font-src data:; ` +
		'base-uri \'none\'; form-action \'none\'';

	return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${name} – segmentation</title>
<style>${verbatim(style)}</style>
</head>
<body>
${overview.last_run !== null &&
	html`<a class="skip" href="#segments">To the segments</a>`}
<header>
<p class="eyebrow">Customer segmentation</p>
<h1>${name}</h1>
<p class="lead">${summary(facts, segments)}</p>
</header>
<main>
${headlines(facts)}
${overview.last_run === null ? notRun(facts) : sections(facts, segments)}
</main>
<footer>
<p>Made ${moment(made)} ${zone(made)} from database ${kseg.database}, ${overview.target &&
	html`whose segments are in <code>${overview.target}</code>, `}by kseg ${kseg.version}.
Times are ${zone(made)}.</p>
</footer>
<script>${verbatim(libraries)}</script>
<script>${verbatim(script)}</script>
</body>
</html>
`.text;
}
