// Pictures, as Vega-Lite specifications.
//
// Colours are variables of the page's style, "var(--segment-3)": so they follow
// light, dark and paper without being drawn again.  Each specification names
// the layer whose marks stand for rows.  Its width is the browser's (show.js).

import { wallClock } from './words.mjs';

const colours = 8;
const shapes = ['circle', 'square', 'triangle-up', 'diamond', 'cross',
	'triangle-down'];

// kseg_plot_segments() gives the same places to the same ids.
export const colourNumber = segment => (segment - 1) % colours + 1;
const colourOf = segment => `var(--segment-${colourNumber(segment)})`;
const shapeOf = segment =>
	shapes[Math.floor((segment - 1) / colours) % shapes.length];

const font = '"Inter Variable", system-ui, "Segoe UI", Roboto, Helvetica, ' +
	'Arial, sans-serif';

const config = {
	background: null,
	// one picture is one thing to a screen reader: its figure says what
	aria: false,
	font,
	// descenders of the last line would be cut off
	padding: { left: 0, right: 0, top: 2, bottom: 4 },
	view: { stroke: null },
	title: {
		anchor: 'start', frame: 'group', fontSize: 13, fontWeight: 600,
		color: 'var(--ink)', subtitleFontSize: 12, subtitleColor: 'var(--quiet)',
		subtitlePadding: 4, subtitleLineHeight: 16,
	},
	axis: {
		labelFontSize: 12, labelColor: 'var(--quiet)',
		titleFontSize: 12, titleColor: 'var(--quiet)', titleFontWeight: 'normal',
		titlePadding: 10, labelPadding: 6,
		gridColor: 'var(--line)', domainColor: 'var(--line)', ticks: false,
	},
	header: { labelFontSize: 12, labelColor: 'var(--ink)' },
	legend: {
		orient: 'top', offset: 14, labelFontSize: 12, labelColor: 'var(--ink)',
		title: null, labelLimit: 320, rowPadding: 6, columnPadding: 24,
		symbolSize: 90,
	},
	text: { fontSize: 12, color: 'var(--ink)' },
};

function picture(spec) {
	return {
		$schema: 'https://vega.github.io/schema/vega-lite/v6.json', config, ...spec,
	};
}

// ---- the extension's own pictures, in the page's style ----

const ownColours = new Map([
	...['#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9',
		'#222222', '#999999'].map((colour, i) =>
		[colour, `var(--segment-${i + 1})`]),
	['#B34700', 'var(--accent)'],
	['#9CC7E0', 'var(--soft)'],
	['#7FCDB5', 'var(--soft)'],
	['#444', 'var(--quiet)'],
]);
// where a colour can stand; elsewhere it is somebody's text
const colourKeys = new Set(['color', 'fill', 'stroke', 'value', 'range']);
const dataKeys = new Set(['data', 'datasets', 'domain']);

function restyled(value, key) {
	if (Array.isArray(value))
		return value.map(item => restyled(item, key));
	if (value !== null && typeof value === 'object')
		return Object.fromEntries(Object.entries(value).map(([name, inner]) =>
			[name, dataKeys.has(name) ? inner : restyled(inner, name)]));
	return colourKeys.has(key) ? ownColours.get(value) ?? value : value;
}

function adopted(spec) {
	const { title, config: theirs, ...rest } = restyled(spec);

	return picture(rest);
}

// What it says below its title.
export const findings = spec => spec.title.subtitle ?? [];

export function elbowChart(spec) {
	const chart = adopted(spec);

	// "Inertia: squared distances" is a title and what explains it
	for (const panel of chart.vconcat) {
		const [name, ...words] = panel.title.text.split(': ');

		panel.title = { text: name, subtitle: words.join(': '),
			offset: panel.title.offset };
	}
	// the elbow is the page's accent, not a segment
	return JSON.parse(JSON.stringify(chart)
		.replaceAll('"color":"var(--segment-4)"', '"color":"var(--accent)"')
		.replaceAll('"value":"var(--segment-4)"', '"value":"var(--accent)"')
		.replaceAll('"color":"var(--segment-1)"', '"color":"var(--ink)"'));
}

export function profileChart(spec) {
	const chart = adopted(spec);
	const bars = chart.spec?.layer.find(layer => layer.name === 'profile');

	// Where each segment has a panel, it is told by its colour too.
	if (bars) {
		const ids = [...new Set(chart.data.values.map(row => row.segment))];
		const { x } = bars.encoding;

		bars.encoding.color = { field: 'segment', type: 'nominal', legend: null,
			scale: { domain: ids, range: ids.map(colourOf) } };
		x.axis = { ...x.axis, tickCount: 4, title: null };
		chart.facet.header.labelLimit = 300;
		chart.facet.header.labelFontWeight = 600;
	}
	// names speak for themselves; how many stand in a line is the browser's
	for (const { encoding } of chart.layer ?? [])
		for (const channel of [encoding.color, encoding.shape])
			if (channel)
				channel.legend = { title: null };
	return chart;
}

// ---- the rows on a plane ----

export function scatterChart(rows) {
	const ids = [...new Set(rows.map(row => row.segment))];
	// rows that differ in one direction alone get room in the other
	const extent = field => {
		const values = rows.map(row => row[field]);
		const low = Math.min(...values);
		const high = Math.max(...values);

		return high - low > 1e-6 ? [low, high] : [low - 1, high + 1];
	};
	const [left, right] = extent('x');
	const [bottom, top] = extent('y');
	const axis = (field, domain) => ({ field, type: 'quantitative', axis: null,
		scale: { domain, zero: false, nice: false, padding: 12 } });
	const x = axis('x', [left, right]);
	const y = axis('y', [bottom, top]);
	const three = value => Number(value.toPrecision(5));

	return picture({
		// both axes have the same unit, unless that would be too flat or high
		usermeta: { heightOfWidth: (top - bottom) / (right - left) },
		data: { values: rows.map(({ segment, label, x: across, y: up }) => ({
			segment, label, x: three(across), y: three(up) })) },
		height: 380,
		layer: [{
			name: 'points',
			mark: { type: 'point', filled: true, size: 22, opacity: 0.65 },
			encoding: { x, y,
				color: { field: 'segment', type: 'nominal', legend: null,
					scale: { domain: ids, range: ids.map(colourOf) } },
				shape: { field: 'segment', type: 'nominal', legend: null,
					scale: { domain: ids, range: ids.map(shapeOf) } },
				tooltip: [{ field: 'segment' }, { field: 'label' }] },
		}, {
			transform: [{ groupby: ['segment'], aggregate: [
				{ op: 'mean', field: 'x', as: 'x' },
				{ op: 'mean', field: 'y', as: 'y' }] }],
			encoding: { x, y },
			layer: [{
				name: 'centers',
				mark: { type: 'point', filled: true, shape: 'circle', size: 420,
					opacity: 1, color: 'var(--paper)', strokeWidth: 2 },
				encoding: { stroke: { field: 'segment', type: 'nominal',
					legend: null,
					scale: { domain: ids, range: ids.map(colourOf) } } },
			}, {
				mark: { type: 'text', fontWeight: 600, baseline: 'middle' },
				encoding: { text: { field: 'segment' } },
			}],
		}],
	});
}

// ---- time ----

// How an axis writes its moments: days, unless all are of one day or two.
function timeFormat(moments) {
	const hours = (Math.max(...moments) - Math.min(...moments)) / 3600e3;

	return hours > 48 || hours === 0 ? '%-d %b' : hours > 2 ? '%H:%M' :
		'%H:%M:%S';
}

// ---- sizes over time ----

// Where labels stand that want to be at these values and need a gap between
// them: neighbours that meet share the middle of their wishes.
function apart(wishes, gap) {
	const groups = [];

	for (const [value, i] of wishes.map((wish, place) => [wish, place])
		.sort((a, b) => a[0] - b[0])) {
		let group = { members: [i], middle: value };

		while (groups.length > 0) {
			const below = groups.at(-1);
			const reach = gap * (below.members.length + group.members.length) / 2;

			if (group.middle - below.middle >= reach)
				break;
			groups.pop();
			group = { members: [...below.members, ...group.members],
				middle: (below.middle * below.members.length +
					group.middle * group.members.length) /
					(below.members.length + group.members.length) };
		}
		groups.push(group);
	}
	const places = [];

	for (const { members, middle } of groups)
		members.forEach((member, j) => {
			places[member] = middle + gap * (j - (members.length - 1) / 2);
		});
	return places;
}

export function sizesChart(sizes, log) {
	const height = 320;
	const rows = sizes.map(row => ({ run: row.run_id, at: wallClock(row.at),
		segment: row.segment, label: row.label, size: row.size,
		share: row.share }));
	const ids = [...new Set(rows.map(row => row.segment))].sort((a, b) => a - b);
	const top = Math.max(1, ...rows.map(row => row.size));
	const ends = ids.map(id => rows.filter(row => row.segment === id).at(-1));
	const heights = apart(ends.map(row => row.size), 16 * top / height);
	const published = new Set(rows.map(row => row.run));
	const refits = log
		.filter(run => run.action === 'refit' && published.has(run.run_id))
		.map(run => ({ at: wallClock(run.at), name: `version ${run.version}` }));
	const at = { field: 'at', type: 'temporal', title: null,
		axis: { grid: false, format: timeFormat(sizes.map(row => row.at)),
			tickCount: { expr: 'width / 90' },
			labelOverlap: 'greedy', labelSeparation: 12 } };
	const size = { field: 'size', type: 'quantitative', title: null,
		scale: { domain: [0, top], nice: true },
		axis: { format: '~s', tickCount: 5, domain: false } };
	const color = { field: 'segment', type: 'nominal', legend: null,
		scale: { domain: ids, range: ids.map(colourOf) } };

	return picture({
		height,
		layer: [{
			data: { values: refits },
			encoding: { x: at },
			layer: [{
				name: 'refits',
				mark: { type: 'rule', color: 'var(--quiet)',
					strokeDash: [2, 3] },
			}, {
				mark: { type: 'text', align: 'left', baseline: 'top', dx: 5,
					fontSize: 11, color: 'var(--quiet)' },
				encoding: { y: { value: -2 }, text: { field: 'name' } },
			}],
		}, {
			data: { values: rows },
			encoding: { x: at, y: size, color },
			layer: [{
				mark: { type: 'line', strokeWidth: 2, interpolate: 'monotone' },
			}, {
				name: 'sizes',
				mark: { type: 'point', filled: true, opacity: 1,
					size: published.size > 20 ? 9 : 36 },
				encoding: { tooltip: [{ field: 'segment' }, { field: 'label' },
					{ field: 'at', type: 'temporal', format: '%-d %b %H:%M' },
					{ field: 'size', title: 'customers', format: ',' },
					{ field: 'share', format: '.1%' }] },
			}],
		}, {
			data: { values: ends.map((row, i) => ({ at: row.at,
				segment: row.segment, height: heights[i] })) },
			encoding: { x: at, y: { ...size, field: 'height' } },
			layer: [{
				mark: { type: 'text', align: 'left', baseline: 'middle', dx: 8,
					fontSize: 14 },
				encoding: { text: { value: '●' }, color },
			}, {
				mark: { type: 'text', align: 'left', baseline: 'middle', dx: 22,
					fontWeight: 600 },
				encoding: { text: { field: 'segment' } },
			}],
		}],
	});
}

// ---- who moved where ----

// Places of the rows that stand for customers who come and go.
const elsewhere = Number.MAX_SAFE_INTEGER;

export function migrationChart(migration) {
	const place = segment => segment ?? elsewhere;
	const name = (segment, other) => segment === null ? other : String(segment);
	const rows = migration.map(row => ({
		from: name(row.from_segment, 'new'), from_place: place(row.from_segment),
		to: name(row.to_segment, 'gone'), to_place: place(row.to_segment),
		from_label: row.from_label, to_label: row.to_label,
		customers: row.customers, share: row.share,
		is_move: row.from_segment !== null &&
			row.from_segment !== row.to_segment,
	}));
	const most = Math.max(0, ...rows.filter(row => row.is_move)
		.map(row => row.share ?? 0));
	const axis = (field, title, sortBy, orient) => ({
		field, type: 'ordinal', title,
		sort: { field: sortBy, op: 'min' },
		axis: { orient, domain: false, labelAngle: 0, labelColor: 'var(--ink)' },
		scale: { paddingInner: 0.06 } });

	return picture({
		usermeta: { squares: true },
		data: { values: rows },
		height: 360,
		encoding: {
			x: axis('to', 'to segment', 'to_place', 'top'),
			y: axis('from', 'from segment', 'from_place', 'left'),
			tooltip: [{ field: 'from' }, { field: 'from_label', title: 'label' },
				{ field: 'to' }, { field: 'to_label', title: 'label' },
				{ field: 'customers', format: ',' },
				{ field: 'share', title: 'of those in "from"',
					format: '.2%' }],
		},
		layer: [{
			name: 'moves',
			mark: { type: 'rect', cornerRadius: 2 },
			encoding: { color: {
				value: 'var(--stayed)',
				condition: [1, 0.6, 0.35, 0.15, 0.05].map((part, i, all) => ({
					test: `datum.is_move && datum.share >= ${
						most * (all[i + 1] ?? 0)}`,
					value: `var(--heat-${5 - i})`,
				})),
			} },
		}, {
			transform: [{ filter: 'datum.customers > 0' }],
			mark: { type: 'text', baseline: 'middle', fontSize: 11 },
			// cells of a phone are too small for numbers; the table has them
			encoding: {
				text: { field: 'customers', format: '.3~s' },
				opacity: { value: 0, condition: {
					test: `width / ${
						new Set(rows.map(row => row.to)).size} >= 34`,
					value: 1 } },
			},
		}],
	});
}

// ---- drift ----

export const shareRow = 'shares of segments';

// A row for each run and feature, and one for each run's shares.
export function driftRows(drift) {
	const rows = [];
	const shares = new Map();

	for (const row of drift) {
		if (row.psi === null)
			continue;
		if (row.feature !== null)
			rows.push({ run: row.run_id, at: row.at, feature: row.feature,
				psi: row.psi, shift: row.shift });
		else if (shares.has(row.run_id))
			shares.get(row.run_id).psi += row.psi;
		else
			shares.set(row.run_id, { run: row.run_id, at: row.at,
				feature: shareRow, psi: row.psi, shift: null });
	}
	return [...rows, ...shares.values()]
		.sort((a, b) => a.at - b.at || a.run - b.run);
}

export function driftChart(rows) {
	const runs = new Set(rows.map(row => row.run)).size;
	const last = rows.at(-1).run;
	const latest = new Map(rows.filter(row => row.run === last)
		.map(row => [row.feature, row.psi]));

	return picture({
		data: { values: rows.map(row => ({
			// a text, so that each run has a place of its own
			at: wallClock(row.at), run: `${wallClock(row.at)} ${row.run}`,
			feature: row.feature, psi: row.psi, shift: row.shift,
			latest: row.feature === shareRow ? -1 :
				latest.get(row.feature) ?? 0 })) },
		height: { step: 28 },
		encoding: {
			x: { field: 'run', type: 'ordinal', title: null, sort: null,
				axis: { labelAngle: 0, labelOverlap: 'greedy',
					labelSeparation: 12, domain: false,
					labelExpr: 'timeFormat(toDate(slice(datum.value, 0, 23)), ' +
						`'${timeFormat(rows.map(row => row.at))}')` },
				scale: { paddingInner: runs > 20 ? 0.1 : 0.03 } },
			y: { field: 'feature', type: 'nominal', title: null,
				sort: { field: 'latest', op: 'max', order: 'descending' },
				axis: { labelLimit: 150, domain: false,
					labelColor: 'var(--ink)' },
				scale: { paddingInner: 0.12 } },
			tooltip: [{ field: 'feature' },
				{ field: 'at', type: 'temporal', format: '%-d %b %H:%M' },
				{ field: 'psi', title: 'PSI', format: '.3f' },
				{ field: 'shift', title: 'mean moved by', format: '.2f' }],
		},
		layer: [{
			name: 'drift',
			mark: { type: 'rect', cornerRadius: 1 },
			encoding: { color: { field: 'psi', type: 'quantitative', legend: null,
				scale: { type: 'threshold', domain: [0.05, 0.1, 0.25],
					range: ['var(--drift-1)', 'var(--drift-2)',
						'var(--drift-3)', 'var(--drift-4)'] } } },
		}, ...(runs <= 7 ? [{
			mark: { type: 'text', baseline: 'middle', fontSize: 11 },
			encoding: { text: { field: 'psi', format: '.2f' } },
		}] : [])],
	});
}
