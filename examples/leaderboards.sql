-- The players of leaderboards.toml.
CREATE TABLE players (
    player INTEGER PRIMARY KEY,
    points INTEGER NOT NULL
);
INSERT INTO players VALUES (1, 100), (2, 90);
