//! What is made in the database: a schema with the table of changes, the function that triggers
//! execute, and the triggers.
//!
//! A trigger must never fail, nor hold up who writes: it waits for no lock, no index is unique,
//! and at every bound it writes less instead of refusing. (Only a message that is too long is
//! refused, whose writer knows larder.)
//!
//! Rows are written as the text of a record, which is what the log of the database has: the
//! server's own text of each value, under settings that don't depend on the writer.

use super::tables::TableStanding;
use super::{PostgresTriggersOptions, in_schema};
use crate::outbox::{CHANGES_MAX, MESSAGE_BYTES_MAX, TEXT_BYTES_MAX};

/// A row whose text has more bytes is written with its long texts cut.
const WHOLE_BYTES_MAX: usize = 4_096;
/// One that then still has more is told by its table.
const CUT_BYTES_MAX: usize = 65_536;

/// The function that triggers execute. Its settings are those of a session that replicates, so
/// that a value looks the same whoever writes it.
///
/// `changes` and `whole` are settings of the transaction, and vanish with it or with a savepoint,
/// as what they count does: how many changes were written, and which tables as a whole.
const FUNCTION: &str = r"
CREATE OR REPLACE FUNCTION {feed}.tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET intervalstyle = 'postgres'
  SET extra_float_digits = 3 SET bytea_output = 'hex' SET timezone = 'UTC'
AS $tell$
DECLARE
  mine bigint := nextval('{feed}.place');
  changes bigint := coalesce(nullif(current_setting('{feed}.changes', true), ''), '0')::bigint;
  whole text := coalesce(current_setting('{feed}.whole', true), '');
  mark text := format('%I.%I;', TG_ARGV[0], TG_ARGV[1]);
  names text[];
  was text;
  becomes text;
  cut text;
BEGIN
  IF mine - (SELECT last_value FROM {feed}.acknowledged) > {rows_max} THEN
    PERFORM nextval('{feed}.missed');
    RETURN NULL;
  END IF;
  IF TG_OP <> 'TRUNCATE' AND changes < {changes_max} THEN
    names := ARRAY(SELECT a.attname::text FROM pg_attribute a
                    WHERE a.attrelid = TG_RELID AND a.attnum > 0 AND NOT a.attisdropped
                    ORDER BY a.attnum);
    IF TG_OP <> 'INSERT' THEN was := OLD::text; END IF;
    IF TG_OP <> 'DELETE' THEN becomes := NEW::text; END IF;
    IF octet_length(was) > {whole_bytes} OR octet_length(becomes) > {whole_bytes} THEN
      cut := format('SELECT ROW(%s)::text',
        (SELECT string_agg(format('left(($1).%I::text, {text_cut})', n.name), ', ' ORDER BY n.at)
           FROM unnest(names) WITH ORDINALITY n (name, at)));
      IF TG_OP <> 'INSERT' THEN EXECUTE cut INTO was USING OLD; END IF;
      IF TG_OP <> 'DELETE' THEN EXECUTE cut INTO becomes USING NEW; END IF;
    END IF;
    IF greatest(octet_length(was), octet_length(becomes)) <= {cut_bytes} THEN
      PERFORM set_config('{feed}.changes', (changes + 1)::text, true);
      INSERT INTO {feed}.change (place, schema_name, table_name, kind, names, was, becomes)
        VALUES (mine, TG_ARGV[0], TG_ARGV[1], left(TG_OP, 1), names, was, becomes);
      RETURN NULL;
    END IF;
  END IF;
  IF position(mark IN whole) = 0 THEN
    PERFORM set_config('{feed}.whole', whole || mark, true);
    INSERT INTO {feed}.change (place, schema_name, table_name, kind)
      VALUES (mine, TG_ARGV[0], TG_ARGV[1], 'T');
  END IF;
  RETURN NULL;
END $tell$;

CREATE OR REPLACE FUNCTION {feed}.notice(content text) RETURNS void LANGUAGE plpgsql
  SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $notice$
DECLARE
  mine bigint := nextval('{feed}.place');
  notices bigint := coalesce(nullif(current_setting('{feed}.notices', true), ''), '0')::bigint;
BEGIN
  IF octet_length(content) > {message_bytes} OR notices >= {changes_max} THEN
    RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded', MESSAGE =
      'a notice has at most {message_bytes} bytes, and a transaction {changes_max} of them';
  END IF;
  -- Whoever misses something is waited for, by its number.
  PERFORM pg_current_xact_id();
  IF mine - (SELECT last_value FROM {feed}.acknowledged) > {rows_max} THEN
    PERFORM nextval('{feed}.missed');
    RETURN;
  END IF;
  PERFORM set_config('{feed}.notices', (notices + 1)::text, true);
  INSERT INTO {feed}.change (place, kind, becomes) VALUES (mine, 'M', coalesce(content, ''));
END $notice$;
";

/// What is made around it. Everything is in one transaction: a block is one statement.
const BEGIN: &str = r"
DO $install$
DECLARE
  former record;
  part regclass;
BEGIN
  PERFORM set_config('lock_timeout', '3s', true);
  PERFORM set_config('client_min_messages', 'warning', true);
  CREATE SCHEMA IF NOT EXISTS {feed};
  GRANT USAGE ON SCHEMA {feed} TO PUBLIC;
  CREATE SEQUENCE IF NOT EXISTS {feed}.clock;
  CREATE SEQUENCE IF NOT EXISTS {feed}.place;
  CREATE SEQUENCE IF NOT EXISTS {feed}.acknowledged MINVALUE 0 START 0;
  CREATE SEQUENCE IF NOT EXISTS {feed}.missed MINVALUE 0 START 0;
  -- Of one that was never asked, the last value is the next one.
  PERFORM nextval('{feed}.place') FROM {feed}.place WHERE NOT is_called;
  PERFORM nextval('{feed}.missed') FROM {feed}.missed WHERE NOT is_called;
  CREATE TABLE IF NOT EXISTS {feed}.change (
    place       bigint NOT NULL,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind        text NOT NULL,
    schema_name text,
    table_name  text,
    names       text[],
    was         text,
    becomes     text
  );
  CREATE INDEX IF NOT EXISTS change_of_transaction ON {feed}.change (transaction);
  CREATE TABLE IF NOT EXISTS {feed}.state (
    is_only    boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    lock       bigint NOT NULL,
    log        bigint NOT NULL,
    clock      bigint NOT NULL,
    snapshot   text NOT NULL,
    missed     bigint NOT NULL,
    definition text NOT NULL
  );
";

/// The log is another one from now on: nobody knows what was done while triggers were missing.
const STATE: &str = r"
  REVOKE ALL ON FUNCTION {feed}.tell() FROM PUBLIC;
  INSERT INTO {feed}.state (lock, log, clock, snapshot, missed, definition)
    VALUES (hashtextextended('larder feed {feed}', 0),
            hashtextextended(gen_random_uuid()::text, 0),
            nextval('{feed}.clock'), pg_current_snapshot()::text, 0,
            $definition${definition}$definition$)
    ON CONFLICT (is_only) DO UPDATE SET log = excluded.log, definition = excluded.definition;
  FOR former IN
    SELECT g.tgname AS name, g.tgrelid::regclass AS relation FROM pg_trigger g
     WHERE g.tgfoid = '{feed}.tell()'::regprocedure AND g.tgparentid = 0
  LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', former.name, former.relation);
  END LOOP;
";

/// The triggers of one table. Those of its partitions tell the table's name. They are executed for
/// whoever writes, also for what comes from another server (ALWAYS).
const TABLE: &str = r"
  EXECUTE format('CREATE TRIGGER {feed}_row AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW
    EXECUTE FUNCTION {feed}.tell(%L, %L)', {table}::regclass, {schema_name}, {table_name});
  FOR part IN
    SELECT {table}::regclass UNION SELECT relid FROM pg_partition_tree({table}::regclass)
  LOOP
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER {feed}_row', part);
    EXECUTE format('CREATE TRIGGER {feed}_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT
      EXECUTE FUNCTION {feed}.tell(%L, %L)', part, {schema_name}, {table_name});
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER {feed}_truncate', part);
  END LOOP;
";

/// Only what is ours: somebody may have put something else into the schema.
const REMOVE: &str = r"
DO $remove$
BEGIN
  PERFORM set_config('lock_timeout', '3s', true);
  PERFORM set_config('client_min_messages', 'warning', true);
  IF to_regnamespace('{feed}') IS NOT NULL THEN
    DROP FUNCTION IF EXISTS {feed}.tell() CASCADE;
    DROP FUNCTION IF EXISTS {feed}.notice(text);
    DROP TABLE IF EXISTS {feed}.change, {feed}.state;
    DROP SEQUENCE IF EXISTS {feed}.clock, {feed}.place, {feed}.acknowledged,
      {feed}.missed;
    BEGIN
      DROP SCHEMA {feed};
    EXCEPTION WHEN dependent_objects_still_exist THEN
      NULL;
    END;
  END IF;
END $remove$";

/// The function, with these bounds.
pub(super) fn function(options: &PostgresTriggersOptions) -> String {
    in_schema(&options.name, FUNCTION)
        .replace("{rows_max}", &options.rows_max.to_string())
        .replace("{changes_max}", &CHANGES_MAX.to_string())
        .replace("{message_bytes}", &MESSAGE_BYTES_MAX.to_string())
        .replace("{whole_bytes}", &WHOLE_BYTES_MAX.to_string())
        .replace("{cut_bytes}", &CUT_BYTES_MAX.to_string())
        .replace("{text_cut}", &(TEXT_BYTES_MAX + 1).to_string())
}

/// Makes all of it.
pub(super) fn install(
    options: &PostgresTriggersOptions,
    tables: &[TableStanding],
    function: &str,
) -> String {
    let mut script = in_schema(&options.name, BEGIN);
    script.push_str(function);
    script.push_str(&in_schema(&options.name, STATE).replace("{definition}", function));
    for table in tables {
        let one = in_schema(&options.name, TABLE)
            .replace("{table}", &literal(&table.quoted))
            .replace("{schema_name}", &literal(&table.table.schema))
            .replace("{table_name}", &literal(&table.table.name));
        script.push_str(&one);
    }
    script.push_str("END $install$");
    script
}

/// Takes all of it away.
pub(super) fn remove(name: &str) -> String {
    in_schema(name, REMOVE)
}

/// A text as SQL writes it, whatever the session's settings say of backslashes.
fn literal(text: &str) -> String {
    let mut literal = String::from("E'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => {
                literal.push('\\');
                literal.push(character);
            }
            // They would end the block that this stands in, or be replaced.
            '$' => literal.push_str("\\044"),
            '{' => literal.push_str("\\173"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}
