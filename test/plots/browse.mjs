// browse.mjs chromium page.html profile [screenshot.png]
//
// Opens a page in headless Chromium, which is spoken to through a pipe, and
// prints as JSON what it found: errors (of the console, of scripts, of the
// policy), addresses that the page asked for, and for each figure how many
// marks each class of Vega has.  "profile" is an empty directory for the browser.

import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [program, page, profile, screenshot] = process.argv.slice(2);
const address = pathToFileURL(page).href;

const browser = spawn(program, [
	'--headless', '--remote-debugging-pipe', `--user-data-dir=${profile}`,
	// the page is our own; root and bare containers have no sandbox
	'--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
	'--no-first-run', '--disable-background-networking',
	'--disable-component-update', '--disable-sync', '--disable-extensions',
	'--host-resolver-rules=MAP * ~NOTFOUND', '--window-size=1100,900',
	'about:blank',
], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });

const watchdog = setTimeout(() => giveUp('the browser took too long'), 120000);
browser.on('error', error => giveUp(String(error)));
browser.on('exit', status => giveUp(`the browser ended with status ${status}`));

function giveUp(reason) {
	console.log(JSON.stringify({ errors: [reason], requests: [], figures: {} }));
	browser.kill('SIGKILL');
	process.exit(1);
}

// ---- the protocol: JSON with a zero byte after each message ----

const waiting = new Map();
const listeners = [];
let last = 0;
let rest = '';

function send(method, params = {}, sessionId = undefined) {
	const id = ++last;

	browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
	return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

browser.stdio[3].on('error', error => giveUp(String(error)));
browser.stdio[4].on('error', error => giveUp(String(error)));
browser.stdio[4].setEncoding('utf8').on('data', chunk => {
	const messages = (rest + chunk).split('\0');

	rest = messages.pop();
	for (const message of messages.map(text => JSON.parse(text))) {
		const { resolve, reject } = waiting.get(message.id) ?? {};

		waiting.delete(message.id);
		if (message.error)
			reject(new Error(message.error.message));
		else if (resolve)
			resolve(message.result);
		else
			listeners.forEach(listener => listener(message));
	}
});

// ---- the page ----

// Runs in the page, when all is drawn.
function look() {
	const figures = {};

	for (const figure of document.querySelectorAll('figure[id]')) {
		const marks = figures[figure.id] = {};

		for (const group of figure.querySelectorAll('g.role-mark'))
			for (const name of group.classList)
				if (name.endsWith('_marks'))
					marks[name.slice(0, -6)] = (marks[name.slice(0, -6)] ?? 0) +
						group.childElementCount;
	}
	return figures;
}

try {
	const errors = [];
	const requests = [];
	const { targetInfos } = await send('Target.getTargets');
	const { targetId } = targetInfos.find(target => target.type === 'page');
	const { sessionId } = await send('Target.attachToTarget',
		{ targetId, flatten: true });
	const call = (method, params) => send(method, params, sessionId);

	listeners.push(({ method, params }) => {
		if (method === 'Runtime.exceptionThrown')
			errors.push(params.exceptionDetails.exception?.description ??
				params.exceptionDetails.text);
		else if (method === 'Runtime.consoleAPICalled' &&
			['error', 'warning', 'assert'].includes(params.type))
			errors.push(params.args.map(a => a.value ?? a.description).join(' '));
		else if (method === 'Log.entryAdded' &&
			['error', 'warning'].includes(params.entry.level))
			errors.push(params.entry.text);
		else if (method === 'Network.requestWillBeSent' &&
			params.request.url !== address)
			requests.push(params.request.url.slice(0, 200));
	});
	for (const domain of ['Runtime', 'Log', 'Network', 'Page'])
		await call(`${domain}.enable`);
	await call('Page.navigate', { url: address });

	const evaluate = async expression => (await call('Runtime.evaluate',
		{ expression, returnByValue: true })).result.value;
	while (await evaluate(
		`location.href === ${JSON.stringify(address)} &&
		document.documentElement.dataset.ready`) !== 'yes')
		await new Promise(resolve => setTimeout(resolve, 50));

	const figures = await evaluate(`(${look})()`);
	if (screenshot) {
		const { cssContentSize } = await call('Page.getLayoutMetrics');
		const { data } = await call('Page.captureScreenshot', {
			captureBeyondViewport: true, clip: { ...cssContentSize, scale: 1 },
		});
		writeFileSync(screenshot, data, 'base64');
	}
	clearTimeout(watchdog);
	browser.removeAllListeners('exit');
	console.log(JSON.stringify({ errors, requests, figures }));
	// it has said all, and may hang as little as before
	setTimeout(() => browser.kill('SIGKILL'), 10000).unref();
	await send('Browser.close').catch(() => {});
} catch (error) {
	giveUp(String(error));
}
