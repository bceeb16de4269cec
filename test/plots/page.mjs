// page.mjs page.html title file...
//
// One page that needs nothing but itself: the libraries and the pictures stand
// in it, and its policy forbids it to ask the network for anything.  A file is a
// specification (.json) or a drawing (.svg); drawings come last.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';

const [output, title, ...files] = process.argv.slice(2);
const library = name => readFileSync(new URL(
	`node_modules/${name}/build/${name}.min.js`, import.meta.url), 'utf8');

const escape = text => text.replace(/[&<>"]/g,
	c => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);
// Neither may close the element that it stands in, nor open a comment.
const inScript = code => code.replace(/<(?=\/script|script|!--)/gi, '\\x3C');
const inJson = text => text.replace(/</g, '\\u003c');

const isDrawing = file => extname(file) === '.svg';

function figure(file) {
	const name = escape(basename(file, extname(file)));
	const text = readFileSync(file, 'utf8');

	if (isDrawing(file))
		return `<figure>${text}</figure>`;
	return `<figure id="${name}"></figure>
<script type="application/json" data-for="${name}">${inJson(text)}</script>`;
}

function drawAll() {
	const options = {
		renderer: 'svg',
		actions: { export: true, source: false, compiled: false, editor: false },
	};
	const drawings = [...document.querySelectorAll('script[data-for]')].map(
		script => {
			const place = document.getElementById(script.dataset.for);

			return vegaEmbed(place, JSON.parse(script.textContent), options)
				.catch(error => {
					place.textContent = String(error);
					console.error(error);
				});
		});
	Promise.all(drawings).then(
		() => { document.documentElement.dataset.ready = 'yes'; });
}

writeFileSync(output, `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>
body { font-family: Helvetica, Arial, sans-serif; color: #222; margin: 2em auto; max-width: 1000px; padding: 0 1em }
figure { margin: 0 0 3em; overflow-x: auto }
svg { max-width: 100% }
</style>
</head>
<body>
<h1>${escape(title)}</h1>
${files.filter(file => !isDrawing(file)).map(figure).join('\n')}
${files.some(isDrawing) ? '<h2>As SVG text, for e-mail</h2>' : ''}
${files.filter(isDrawing).map(figure).join('\n')}
<script>${['vega', 'vega-lite', 'vega-embed'].map(library).map(inScript).join('\n')}</script>
<script>(${inScript(drawAll.toString())})();</script>
</body>
</html>
`);
