// render.mjs directory spec.json...
//
// What the real libraries make of specifications: each is checked against the
// schema that vega-lite ships, compiled, and drawn to directory/name.svg.
// Prints one line of JSON for each file: its name, problems (of the schema, the
// compiler, the drawing), and how many marks each named layer has drawn.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createRequire } from 'node:module';
import Ajv from 'ajv';
import * as vega from 'vega';
import { compile } from 'vega-lite';

const require = createRequire(import.meta.url);
const schema = require('vega-lite/vega-lite-schema.json');
// not strict: the schema has keywords of its own
const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
ajv.addFormat('color-hex', /^#([0-9a-f]{3}){1,2}$/i);
const isValid = ajv.compile(schema);

// The libraries' own warnings count as problems.
function logger(problems) {
	const note = (...words) => {
		problems.push(words.map(String).join(' '));
		return self;
	};
	const ignore = () => self;
	const self = {
		level: () => self, error: note, warn: note, info: ignore, debug: ignore,
	};
	return self;
}

// Names of layers, as they were given.
function layers(spec) {
	const inner = [...(spec.layer ?? []), ...(spec.vconcat ?? []),
		...(spec.spec ? [spec.spec] : [])];

	return [...(spec.name ? [spec.name] : []), ...inner.flatMap(layers)];
}

// All groups of marks that Vega made from a layer are called after it.
function count(node, name) {
	let found = node.name === `${name}_marks` ? node.items.length : 0;

	for (const item of node.items ?? [])
		found += count(item, name);
	return found;
}

async function draw(file, directory) {
	const problems = [];
	const marks = {};
	const spec = JSON.parse(readFileSync(file, 'utf8'));

	if (!isValid(spec)) {
		// anyOf makes thousands: the deepest are those that tell something
		const errors = isValid.errors.sort((a, b) =>
			b.instancePath.length - a.instancePath.length);
		problems.push(...errors.slice(0, 5).map(
			e => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`));
	}
	const compiled = compile(spec, { logger: logger(problems) }).spec;
	const view = new vega.View(vega.parse(compiled), {
		renderer: 'none', logger: logger(problems),
	});
	const svg = await view.toSVG();
	for (const name of layers(spec))
		marks[name] = count(view.scenegraph().root, name);
	view.finalize();
	if (/NaN|undefined|Infinity|\[object/.test(svg.replace(/>[^<]*</g, '><')))
		problems.push('the drawing has an attribute that is no number');
	writeFileSync(join(directory, basename(file, '.json') + '.svg'), svg);
	return { name: basename(file, '.json'), problems, marks };
}

const [directory, ...files] = process.argv.slice(2);
for (const file of files)
	console.log(JSON.stringify(await draw(file, directory).catch(error =>
		({ name: basename(file, '.json'), problems: [String(error)], marks: {} }))));
