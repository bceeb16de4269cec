-- The tour's pictures, each into a file of its own in the directory :directory.
-- Run by run.sh after demo.sql.

\set ON_ERROR_STOP on
\set features 'SELECT age, annual_income, spending_score FROM customers'
\set customers 'SELECT customer_id, age, annual_income, spending_score FROM customers'
\set all 'SELECT age, annual_income, spending_score, recency, frequency, monetary FROM customers'
\pset format unaligned
\pset tuples_only on

SELECT jsonb_agg(e) AS elbow FROM kseg_elbow(:'features') AS e \gset
SELECT kseg_plot_elbow(:'elbow'::jsonb) \g :directory/1-elbow.json
SELECT kseg_plot_sizes(model) FROM models \g :directory/2-sizes.json
SELECT kseg_plot_profile(model) FROM models \g :directory/3-profile.json
SELECT kseg_plot_scatter(model, :'customers', 'customer_id') FROM models \g :directory/4-scatter.json
SELECT kseg_svg_elbow(:'elbow'::jsonb) \g :directory/5-elbow.svg
SELECT kseg_svg_profile(model, :'all') FROM models \g :directory/6-profile.svg
