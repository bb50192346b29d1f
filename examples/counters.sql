-- The counters of counters.toml.
CREATE TABLE visits (
    page INTEGER PRIMARY KEY,
    n    INTEGER NOT NULL
);
INSERT INTO visits VALUES (1, 100);

-- Where larder keeps what was applied beside the data; `larder check` says when they are missing.
CREATE TABLE IF NOT EXISTS larder_applied (
    cache TEXT NOT NULL,
    key TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (cache, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS larder_owner (
    cache TEXT NOT NULL PRIMARY KEY,
    owner TEXT,
    epoch INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS larder_dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    cache TEXT NOT NULL,
    key TEXT NOT NULL,
    verb TEXT NOT NULL,
    value BLOB,
    delta INTEGER,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    requeued BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX IF NOT EXISTS larder_dead_letters_of_cache ON larder_dead_letters (cache, id);
