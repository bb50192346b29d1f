-- The blobs of configuration-blobs.toml.
CREATE TABLE blobs (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
INSERT INTO blobs VALUES ('checkout', '{"express":false}');
