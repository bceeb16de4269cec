// Numbers, moments and markup, as people read them.

// ---- markup: what is not made here is text ----

class Markup {
	constructor(text) {
		this.text = text;
	}
}

export function escape(value) {
	return String(value).replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`);
}

function written(value) {
	if (value instanceof Markup)
		return value.text;
	if (Array.isArray(value))
		return value.map(written).join('');
	return value === null || value === undefined || value === false ? '' :
		escape(value);
}

// A template whose values are escaped, unless they are markup themselves.
export function html(strings, ...values) {
	return new Markup(strings.reduce((text, string, i) =>
		text + written(values[i - 1]) + string));
}

// For what was made for the page itself: its style, scripts and libraries.
export function verbatim(text) {
	return new Markup(text);
}

// Neither closes the element that it stands in, nor opens a comment in it.
export function jsonInScript(value) {
	return verbatim(JSON.stringify(value).replace(/</g, '\\u003c'));
}

// ---- numbers ----

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

const isNumber = x => typeof x === 'number' && Number.isFinite(x);

export const count = n => isNumber(n) ? whole.format(n) : '–';

export const decimal = (x, digits = 2) => isNumber(x) ? x.toFixed(digits) : '–';

// 0.1234 as 12.3%
export const percent = (x, digits = 1) => isNumber(x) ?
	`${(100 * x).toFixed(digits)}%` : '–';

// A change of share, in percentage points, with its sign.
export function points(x) {
	const rounded = (100 * x).toFixed(1);

	return Number(rounded) === 0 ? '±0.0' :
		`${x > 0 ? '+' : '−'}${rounded.replace('-', '')}`;
}

export const plural = (n, one, many = `${one}s`) =>
	`${count(n)} ${n === 1 ? one : many}`;

export function seconds(x) {
	if (!isNumber(x))
		return '–';
	if (x < 1)
		return `${Math.round(1000 * x)} ms`;
	if (x < 90)
		return `${x.toFixed(x < 10 ? 1 : 0)} s`;
	return x < 5400 ? `${Math.round(x / 60)} min` : `${decimal(x / 3600, 1)} h`;
}

// ---- moments, in the time zone of whoever makes the page (TZ) ----

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep',
	'Oct', 'Nov', 'Dec'];
const two = n => String(n).padStart(2, '0');
const zoneFormat = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' });

export const day = at => `${at.getDate()} ${months[at.getMonth()]}`;
export const date = at => `${day(at)} ${at.getFullYear()}`;
export const moment = at =>
	`${day(at)} ${two(at.getHours())}:${two(at.getMinutes())}`;
export const zone = at => zoneFormat.formatToParts(at)
	.find(part => part.type === 'timeZoneName').value;

// Without a zone, so that a browser elsewhere shows the same hour.
export function wallClock(at) {
	return `${String(at.getFullYear()).padStart(4, '0')}-` +
		`${two(at.getMonth() + 1)}-${two(at.getDate())}T` +
		`${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}` +
		`.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

export const hoursBetween = (from, to) => (to - from) / 3600e3;

export function ago(at, now) {
	const hours = hoursBetween(at, now);

	if (hours < 1 / 60)
		return 'just now';
	if (hours < 1.5)
		return plural(Math.round(60 * hours), 'minute') + ' ago';
	if (hours < 48)
		return plural(Math.round(hours), 'hour') + ' ago';
	return plural(Math.round(hours / 24), 'day') + ' ago';
}
