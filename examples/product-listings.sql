-- The products of product-listings.toml.
CREATE TABLE products (
    id       INTEGER PRIMARY KEY,
    category INTEGER NOT NULL,
    name     TEXT NOT NULL,
    cents    INTEGER NOT NULL
);
CREATE INDEX products_of_category ON products (category, cents);
INSERT INTO products VALUES
    (10, 2, 'Kettle', 2999), (11, 2, 'Toaster', 3999), (12, 3, 'Chair', 8999);
