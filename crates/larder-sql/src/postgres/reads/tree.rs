//! A query as the server keeps it for a view: which relations, functions and operators it names by
//! their numbers.
//!
//! Follows `outfuncs.c` of PostgreSQL 12 and later: `{NODE :field value …}`, where no white space
//! or bracket stands within a value without a backslash. Only single fields are looked for, each
//! wherever it stands: a name that a user chose may look like one, which can only add something.

use std::collections::BTreeSet;

use crate::loads::Question;
use crate::statement::Dialect;

/// The words that are a moment where a date or a time is expected.
const MOMENTS: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// The types of dates and times, of their ranges, and of lists of them, from `pg_type.dat`.
const TIMES: [u32; 16] = [
    1082, 1083, 1114, 1184, 1266, 1182, 1183, 1115, 1185, 1270, 3908, 3910, 3912, 4533, 4534, 4535,
];

/// What `SQLValueFunction` stands for, in the order of its numbers (`primnodes.h`).
const VALUES: [&str; 15] = [
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_TIMESTAMP",
    "LOCALTIME",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "LOCALTIMESTAMP",
    "CURRENT_ROLE",
    "CURRENT_USER",
    "USER",
    "SESSION_USER",
    "CURRENT_CATALOG",
    "CURRENT_SCHEMA",
];

/// What was named in the trees that were read.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) functions: BTreeSet<u32>,
    pub(super) operators: BTreeSet<u32>,
    /// A constant of the first tree, which is the load's own, is a date or a time.
    has_time: bool,
    trees: usize,
}

impl Tree {
    /// Reads one, and says which relations it names; or the rest of a sentence that says what in
    /// it nobody tells a change of.
    pub(super) fn read(&mut self, text: &str) -> Result<BTreeSet<u32>, String> {
        let mut relations = BTreeSet::new();
        let mut words = text.split_ascii_whitespace().map(bare).peekable();
        self.trees += 1;
        while let Some(word) = words.next() {
            let value = words.peek().copied().unwrap_or_default();
            let number = value.parse::<u32>().ok().filter(|&number| number > 0);
            match (word, number) {
                (":relid", Some(oid)) => drop(relations.insert(oid)),
                (":funcid" | ":opfuncid" | ":aggfnoid" | ":winfnoid", Some(oid)) => {
                    self.functions.insert(oid);
                }
                (":opno", Some(oid)) => drop(self.operators.insert(oid)),
                (":opnos", _) => self.operators.extend(list(words.clone())),
                (":consttype", Some(oid)) if TIMES.contains(&oid) => {
                    self.has_time |= self.trees == 1;
                }
                (":resulttype", Some(oid)) if TIMES.contains(&oid) => {
                    return Err("casts a text to a date or a time, and the text may say 'now': \
                                store it as what it is"
                        .to_owned());
                }
                ("SQLVALUEFUNCTION", _) => {
                    let at = words.clone().nth(1).and_then(|op| op.parse::<usize>().ok());
                    let name = at.and_then(|at| VALUES.get(at)).copied();
                    let name = name.unwrap_or("a value of the session");
                    return Err(format!("asks for {name}, which changes without a row"));
                }
                ("NEXTVALUEEXPR", _) => return Err("takes from a sequence".to_owned()),
                ("TABLESAMPLECLAUSE", _) => {
                    return Err("has TABLESAMPLE, which is another sample each time".to_owned());
                }
                ("TABLEFUNC", _) => {
                    return Err(
                        "has XMLTABLE or JSON_TABLE, whose columns are not looked into".to_owned()
                    );
                }
                ("ROWMARKCLAUSE", _) => {
                    return Err("locks rows (FOR UPDATE or FOR SHARE)".to_owned());
                }
                (":varattno", None) if value == "-1" => {
                    return Err("reads ctid, which VACUUM may change without a word".to_owned());
                }
                _ => {}
            }
        }
        Ok(relations)
    }

    /// Refuses what was a moment already when the tree was made: `'now'` where a date is expected.
    pub(super) fn check(&self, question: &Question, dialect: Dialect) -> Result<(), String> {
        let is_moment = |string: &str| {
            // What is written with an escape may be one of the words too.
            if string.contains('\\') {
                return true;
            }
            let mut words = string.split(|c: char| !c.is_ascii_alphabetic());
            words.any(|word| MOMENTS.iter().any(|moment| word.eq_ignore_ascii_case(moment)))
        };
        match question.statement.strings(dialect).into_iter().find(|string| is_moment(string)) {
            Some(string) if self.has_time => {
                Err(format!("has '{string}', which a date or a time takes for a moment"))
            }
            _ => Ok(()),
        }
    }
}

/// A word without the brackets around it.
fn bare(word: &str) -> &str {
    word.trim_matches(['(', ')', '{', '}'])
}

/// The numbers of a list `(o 97 98)`, up to the next field.
fn list<'a>(words: impl Iterator<Item = &'a str>) -> Vec<u32> {
    words.take_while(|word| !word.starts_with(':')).filter_map(|word| word.parse().ok()).collect()
}
