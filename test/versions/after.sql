-- What is in such a database, bit for bit, and what its next nights do.
SET search_path = public, lib;
SELECT 'model', name, md5(encode(kseg_model_send(model), 'hex')), md5(model::text) FROM models ORDER BY name COLLATE "C";
SELECT 'scaler', name, md5(scaler::text) FROM scalers ORDER BY name COLLATE "C";
SELECT 'scored', md5(string_agg(segment::text, ',' ORDER BY id)) FROM scored;
SELECT 'fitted again', name, md5(model::text) FROM (
	SELECT m.name, kseg_fit(m.name::jsonb, visits, spent, plan, since) AS model
	FROM customers, models AS m WHERE m.name LIKE '{%' GROUP BY m.name) AS f
ORDER BY name COLLATE "C";
SELECT 'of the registry', segmentation, version, md5(model::text), is_held FROM kseg_models ORDER BY segmentation, version;
SELECT 'history', count(*), md5(string_agg(h::text, ',' ORDER BY h::text COLLATE "C"))
FROM (SELECT segmentation, key, segment, previous, valid_to IS NULL FROM kseg_history) AS h;
SELECT 'label', segmentation, segment, label, note, review FROM kseg_labels ORDER BY 2, 3;

SELECT 'a night', run_id, action, scored, changed, new, gone, unassigned, drift, held FROM kseg_run('shop');
SELECT 'a night', run_id, action, scored, changed, new, gone, unassigned, drift, held FROM kseg_run('accounts');
UPDATE customers SET visits = visits + 20, plan = 'plus' WHERE id % 10 = 3;
INSERT INTO customers SELECT 'west', i, i % 30, i, 'basic', '2021-01-01' FROM generate_series(4001, 4050) AS i;
INSERT INTO orders SELECT md5((i / 4)::text)::uuid, 200 FROM generate_series(4200, 4299) AS i;
SELECT 'much has changed', run_id, action, scored, changed, new, gone, unassigned, drift, held FROM kseg_run('shop');
SELECT 'much has changed', run_id, action, scored, changed, new, gone, unassigned, drift, held FROM kseg_run('accounts');
SELECT 'a refit', run_id, action, scored, changed, new, gone, unassigned, drift, held FROM kseg_run('shop', 'refit');
SELECT 'a refit', run_id, action, scored, changed, new, gone, unassigned, drift, held FROM kseg_run('accounts', 'refit');
SELECT 'rolled back', run_id, action, scored, changed FROM kseg_rollback('shop', 1);
SELECT 'of the registry', segmentation, version, md5(model::text), is_held FROM kseg_models ORDER BY segmentation, version;
SELECT 'history', count(*), md5(string_agg(h::text, ',' ORDER BY h::text COLLATE "C"))
FROM (SELECT segmentation, key, segment, previous, valid_to IS NULL FROM kseg_history) AS h;
SELECT 'in the table', md5(string_agg(c::text, ',' ORDER BY id)) FROM (SELECT id, region, segment FROM customers) AS c;
SELECT 'elbow', segmentation, version, k, inertia, silhouette, is_knee, note FROM kseg_elbows ORDER BY 2, 3, 4;
SELECT 'drift', run, feature, segment, psi, shift, verdict FROM kseg_drifts ORDER BY run, feature COLLATE "C", segment;
