-- The users of user-profiles.toml.
CREATE TABLE users (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL,
    email TEXT NOT NULL CHECK (email LIKE '%@%')
);
INSERT INTO users VALUES (1, 'Ada', 'ada@example.org'), (2, 'Grace', 'grace@example.org');
