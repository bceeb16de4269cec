// browse.mjs chromium page.html directory [view]...
//
// Opens a page of docs/dashboard in headless Chromium and prints as JSON what
// it found in each view, or those named: errors (of the console, of scripts, of
// the policy), addresses that the page asked for, how many marks each layer of
// each picture has, how much wider than the window the page is, what axe-core
// finds serious, and some of its texts.  Screenshots go to the directory.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const require = createRequire(
	new URL('../../docs/dashboard/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const [program, file, directory, ...wanted] = process.argv.slice(2);
const address = pathToFileURL(file).href;
const phone = { width: 360, height: 800 };
const tablet = { width: 820, height: 1180 };
const desktop = { width: 1440, height: 900 };
const views = {
	phone: { viewport: phone },
	'phone-dark': { viewport: phone, colorScheme: 'dark' },
	tablet: { viewport: tablet },
	'tablet-dark': { viewport: tablet, colorScheme: 'dark' },
	desktop: { viewport: desktop },
	'desktop-dark': { viewport: desktop, colorScheme: 'dark' },
};

// Runs in the page: what each layer of each picture has drawn.
function countMarks() {
	const pictures = {};

	for (const place of document.querySelectorAll('.chart')) {
		const marks = pictures[place.id.replace(/-chart$/, '')] = {};

		for (const group of place.querySelectorAll('g.role-mark'))
			for (const name of group.classList)
				if (name.endsWith('_marks'))
					marks[name.slice(0, -6)] =
						(marks[name.slice(0, -6)] ?? 0) + group.childElementCount;
	}
	return pictures;
}

// Runs in the page: what lies outside the window, and text that is cut off.
function measure() {
	const root = document.documentElement;
	const wide = [...document.querySelectorAll('main *, header *, footer *')]
		.filter(element => !element.closest('.scroll, .unseen, details, thead') &&
			element.getBoundingClientRect().right > root.clientWidth + 1)
		.map(element => `${element.tagName}.${element.className?.baseVal ??
			element.className}`);

	return { overflow: root.scrollWidth - root.clientWidth,
		wide: wide.slice(0, 5) };
}

// A point of the scatter plot, pointed at.
async function tooltip(tab) {
	const point = tab.locator('#scatter-chart .points_marks path').first();

	if (await point.count() === 0)
		return null;
	// the page's script gets it as from a mouse, whatever lies above the point
	await point.dispatchEvent('pointermove');
	await point.dispatchEvent('mousemove');
	return tab.locator('#vg-tooltip-element.visible').innerText(
		{ timeout: 5000 });
}

async function look(browser, name, found) {
	const context = await browser.newContext(
		{ ...views[name], reducedMotion: 'reduce' });
	const tab = await context.newPage();
	const view = found.views[name] = { errors: [], requests: [] };

	tab.on('console', message => {
		if (['error', 'warning', 'assert'].includes(message.type()))
			view.errors.push(message.text());
	});
	tab.on('pageerror', error => view.errors.push(String(error)));
	tab.on('dialog', dialog => {
		view.errors.push(`a dialog: ${dialog.message()}`);
		return dialog.dismiss();
	});
	tab.on('request', request => {
		if (request.url() !== address && !request.url().startsWith('data:'))
			view.requests.push(request.url().slice(0, 200));
	});
	await tab.goto(address);
	await tab.waitForFunction(
		() => document.documentElement.dataset.ready === 'yes', null,
		{ timeout: 30000 });
	Object.assign(view, { marks: await tab.evaluate(countMarks),
		...await tab.evaluate(measure) });
	await tab.screenshot({ path: join(directory, `${name}.png`),
		fullPage: true });
	if (name === 'desktop') {
		view.headings = await tab.locator('h1, h3').allInnerTexts();
		view.warnings = await tab.locator('.warnings strong').allInnerTexts();
		view.tooltip = await tooltip(tab);
		await tab.pdf({ path: join(directory, 'dashboard.pdf'), format: 'A4' });
	}
	// the tables are looked at too
	await tab.evaluate(() => document.querySelectorAll('details')
		.forEach(element => { element.open = true; }));
	// not as a script of the page, whose policy forbids it
	await tab.evaluate(axeSource);
	view.findings = await tab.evaluate(async () => {
		const { violations, passes } = await axe.run(document);

		return { checked: passes.length, serious: violations
			.filter(({ impact }) => ['serious', 'critical'].includes(impact))
			.map(({ id, nodes }) => `${id}: ${
				nodes.slice(0, 3).map(node => node.html.slice(0, 200))
					.join(' | ')}`) };
	});
	await context.close();
}

// What the documentation shows: the top of the page, without the tables open.
async function takePicture(browser) {
	const context = await browser.newContext(
		{ viewport: { width: 1200, height: 1330 } });
	const tab = await context.newPage();

	await tab.goto(address);
	await tab.waitForFunction(
		() => document.documentElement.dataset.ready === 'yes', null,
		{ timeout: 30000 });
	await tab.screenshot({ path: join(directory, 'dashboard.png') });
	await context.close();
}

const found = { errors: [], views: {} };
let browser;

// whatever hangs
setTimeout(() => {
	found.errors.push('the browser took too long');
	console.log(JSON.stringify(found));
	process.exit(1);
}, 300000).unref();

try {
	browser = await chromium.launch({ executablePath: program,
		// the page is our own; root and bare containers have no sandbox
		args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
			'--host-resolver-rules=MAP * ~NOTFOUND'] });
	for (const name of wanted.length > 0 ? wanted : Object.keys(views))
		if (name === 'picture')
			await takePicture(browser);
		else
			await look(browser, name, found);
} catch (error) {
	found.errors.push(String(error));
} finally {
	await browser?.close();
}
console.log(JSON.stringify(found));
