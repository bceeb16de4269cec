#!/usr/bin/env node
// dashboard.mjs [option]... > page.html
//
// One page of HTML, which needs nothing but itself, about one segmentation of
// kseg: how large its segments are, who is in them, what moved, what drifts,
// and whether somebody has to look.
//
//   --segmentation NAME   which; may be left out when there is only one
//   --database URI        postgresql://user@host/database; else PGHOST, PGPORT,
//                         PGUSER, PGPASSWORD, PGDATABASE, or the local server
//   --runs N              how many of the last runs are shown: 60
//   --rules               say in SQL who is in each segment; reads all customers
//                         once, and only for the segmentation's owner

import { readFileSync, existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { findSegmentation, read } from './read.mjs';
import { page } from './page.mjs';

// where Debian's servers listen, and psql looks too
const localServer = '/var/run/postgresql';

class UsageError extends Error {}

function usage() {
	const lines = readFileSync(new URL(import.meta.url), 'utf8').split('\n');

	return lines.slice(1, lines.indexOf(''))
		.map(line => line.replace(/^\/\/ ?/, '')).join('\n');
}

function options() {
	let values;

	try {
		({ values } = parseArgs({ options: {
			segmentation: { type: 'string' },
			database: { type: 'string' },
			runs: { type: 'string', default: '60' },
			rules: { type: 'boolean', default: false },
			help: { type: 'boolean', default: false },
		} }));
	} catch (error) {
		throw new UsageError(error.message);
	}
	if (!/^[1-9][0-9]{0,3}$/.test(values.runs))
		throw new UsageError('--runs must be a number from 1 to 9999');
	return { ...values, runs: Number(values.runs) };
}

function connection({ database }) {
	const settings = { application_name: 'kseg dashboard' };

	// whoever runs it, as psql has it; node-postgres asks $USER alone
	pg.defaults.user = process.env.PGUSER ?? userInfo().username;
	// counts are far below 2^53
	pg.types.setTypeParser(pg.types.builtins.INT8, Number);
	if (database !== undefined)
		settings.connectionString = database;
	else if (!process.env.PGHOST && existsSync(localServer))
		settings.host = localServer;
	return new pg.Client(settings);
}

async function main() {
	const wanted = options();

	if (wanted.help) {
		console.log(usage());
		return;
	}
	const client = connection(wanted);

	await client.connect();
	try {
		// one moment, whatever a run does meanwhile; nothing is written
		await client.query(
			'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
		const where = await findSegmentation(client, wanted.segmentation);
		const facts = await read(client, where, wanted);

		process.stdout.write(page(facts));
	} finally {
		await client.end();
	}
}

main().catch(error => {
	// node-postgres has errors without a message where there is no server
	const reason = error.message || error.code || String(error);

	console.error(`dashboard.mjs: ${reason}`);
	if (error instanceof UsageError)
		console.error(`\n${usage()}`);
	process.exitCode = 1;
});
