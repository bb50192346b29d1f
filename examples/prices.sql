-- The prices of prices.toml. A trigger counts how often each was changed.
CREATE TABLE prices (
    product INTEGER PRIMARY KEY,
    cents   INTEGER NOT NULL CHECK (cents >= 0),
    changes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO prices (product, cents) VALUES (7, 1999), (8, 500);
CREATE TRIGGER price_was_changed AFTER UPDATE OF cents ON prices BEGIN
    UPDATE prices SET changes = changes + 1 WHERE product = new.product;
END;
