// Reads views as node-postgres hands them over: a line of JSON for each view.
// As read.py, but for moments: a Date has milliseconds.
import pg from 'pg';

const FLOAT8 = 701;

function told(value, type) {
	if (value instanceof Date)
		return value.toISOString().replace('Z', '');
	if (type === FLOAT8 && typeof value === 'number') {
		const bytes = Buffer.alloc(8);
		bytes.writeDoubleBE(value);
		return bytes.toString('hex');
	}
	return value === null ? null : String(value);
}

// addresses and names come from the environment: PGHOST and so on
const client = new pg.Client();
await client.connect();
for (const view of process.argv.slice(2)) {
	const { fields, rows } = await client.query({ text: `SELECT * FROM ${view}`, rowMode: 'array' });
	const classes = fields.map((_, i) => [...new Set(rows.map(row => row[i]).filter(value => value !== null)
		.map(value => value.constructor.name))].sort());

	console.log(JSON.stringify({
		view,
		names: fields.map(field => field.name),
		types: fields.map(field => field.dataTypeID),
		classes,
		rows: rows.map(row => row.map((value, i) => told(value, fields[i].dataTypeID))),
	}));
}
await client.end();
