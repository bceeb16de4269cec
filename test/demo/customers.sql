-- 20,000 made-up customers, the same every time: five kinds of people of
-- unequal number, incomes and purchases with a long tail, some values missing.

CREATE TABLE customers (
    customer_id     int PRIMARY KEY,
    gender          text,
    age             int,
    annual_income   numeric(10,2),
    spending_score  int,            -- 1 to 100, by the shop
    recency         int,            -- days since the last purchase
    frequency       int,            -- purchases in the last year
    monetary        numeric(10,2)   -- spent in the last year
);

CREATE FUNCTION pg_temp.normal() RETURNS float8
    VOLATILE PARALLEL RESTRICTED
    BEGIN ATOMIC
        SELECT sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random());
    END;

-- Middle values of each kind, and the upper end of its share of all.
CREATE TEMPORARY TABLE kinds (
    upper_end float8, female float8,
    age float8, income float8, score float8,
    recency float8, frequency float8, basket float8
);

INSERT INTO kinds VALUES
    (0.33, 0.58, 43, 54000, 50, 24, 16, 48),
    (0.57, 0.44, 47, 92000, 17, 70,  5, 95),
    (0.75, 0.55, 25, 25000, 79, 14, 22, 27),
    (0.89, 0.52, 33, 98000, 84,  9, 30, 88),
    (1.00, 0.61, 69, 27000, 21, 95,  4, 33);

SET max_parallel_workers_per_gather = 0;
SELECT setseed(0.2026)\g /dev/null

INSERT INTO customers
SELECT id,
       CASE WHEN draw.no_gender < 0.01 THEN NULL
            WHEN draw.gender < kind.female THEN 'female' ELSE 'male' END,
       greatest(18, least(95, kind.age + draw.age * (3 + kind.age / 8))),
       CASE WHEN draw.no_income >= 0.02
            THEN kind.income * exp(0.17 * draw.income) END,
       greatest(1, least(100, kind.score + 8 * draw.score)),
       least(365, -kind.recency * ln(1 - draw.recency)),
       purchases,
       purchases * kind.basket * exp(0.5 * draw.basket)
FROM (SELECT id, random() AS kind,
             random() AS gender, random() AS no_gender,
             pg_temp.normal() AS age,
             pg_temp.normal() AS income, random() AS no_income,
             pg_temp.normal() AS score,
             random() AS recency,
             pg_temp.normal() AS frequency,
             pg_temp.normal() AS basket
      FROM generate_series(1, 20000) AS id
      OFFSET 0) AS draw,
     LATERAL (SELECT * FROM kinds WHERE draw.kind < upper_end
              ORDER BY upper_end LIMIT 1) AS kind,
     LATERAL (SELECT 1 + floor(kind.frequency * exp(0.6 * draw.frequency))
                     AS purchases) AS bought
ORDER BY id;

RESET max_parallel_workers_per_gather;
ANALYZE customers;
