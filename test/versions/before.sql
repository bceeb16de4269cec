-- A database with a past: models, a segmentation of one key and one of two,
-- runs, a refit that gave a new id, labels, grants.
CREATE SCHEMA lib;
CREATE EXTENSION kseg SCHEMA lib;
SET search_path = public, lib;

CREATE TABLE customers (
	region text, id integer, visits double precision, spent numeric(10, 2), plan text, since date, segment smallint,
	PRIMARY KEY (region, id));
INSERT INTO customers
SELECT (ARRAY['north', 'south'])[1 + i % 2], i, i % 4 * 20 + (hashint4(i) & 15),
	i % 4 / 2 * 30 + (hashint4(i + 7) & 1023) / 100.0, (ARRAY['basic', 'plus', 'ünlimited "x"'])[1 + i % 3],
	date '2020-01-01' + (hashint4(i + 9) & 1023)
FROM generate_series(1, 3000) AS i;
CREATE TABLE orders (account uuid, amount numeric);
INSERT INTO orders
SELECT md5((i / 4)::text)::uuid, 10 + i / 4 % 3 * 50 + (hashint4(i) & 15) FROM generate_series(4, 4003) AS i;

CREATE TABLE models (name text PRIMARY KEY, model kseg_model);
INSERT INTO models
SELECT o, kseg_fit(o::jsonb, visits, spent, plan, since) FROM customers,
	unnest(ARRAY['{"k": 3}', '{"k": 7, "scale": "robust", "clip": [0.01, 0.99]}', '{"k": 12, "sample": 500, "seed": 5}']) AS o
GROUP BY o;
INSERT INTO models SELECT 'cosine', kseg_fit('{"k": 4, "distance": "cosine"}'::jsonb, visits, spent) FROM customers;
CREATE TABLE scalers AS
SELECT m AS name, kseg_scaler(m, visits, spent) AS scaler FROM customers, unnest(ARRAY['zscore', 'robust']) AS m GROUP BY m;
CREATE VIEW scored AS
SELECT id, kseg_predict(model, visits, spent, plan, since) AS segment FROM customers, models WHERE name = '{"k": 3}';

SELECT kseg_create('shop', 'SELECT region, id, visits, spent, plan, since FROM customers', 'region, id', 4,
	target => 'customers', segment_column => 'segment');
SELECT kseg_create('accounts', 'SELECT account, sum(amount) AS amount, count(*) AS orders FROM orders GROUP BY account', 'account', 3);
SELECT kseg_run('shop');
SELECT kseg_run('accounts');
SELECT kseg_label('shop', 2, 'it''s "two"', 'a note');
SELECT kseg_grant('accounts', 'public');
UPDATE customers SET visits = 40, spent = 35 WHERE id % 10 = 7;
SELECT kseg_run('shop', 'score');
UPDATE customers SET visits = 200, spent = 300 WHERE segment = 4 AND region = 'north';
SELECT kseg_alter('shop', hold_when => '{"moved": null, "vanished": null, "inertia": null}');
SELECT kseg_run('shop', 'refit');
