//! What a change of a table touches in a cache.
//!
//! It knows rows and keys, and no database: which columns make a key is decided in `plan`.

use std::sync::Arc;

use larder_core::change::{Change, Changed, Field, Row, Table};
use larder_core::feed::Notice;
use larder_core::sync::Mutex;
use larder_core::template::{ParameterKind, ParameterValue, TagPiece, TagTemplate};
use larder_core::{Key, KeyTemplate};
use larder_engine::feeding::{Route, Touched};

/// What a change of one table touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) table: Table,
    pub(super) touches: Touches,
}

/// See [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touches {
    /// Everything that the cache holds.
    Everything,
    /// What the columns of its rows name.
    Named {
        /// Those that stand in the key where it has its parameters.
        columns: Option<Vec<String>>,
        tags: Vec<TagTemplate>,
    },
}

/// The rules of a cache. Until they are known, any change touches everything. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct CacheRoute(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: KeyTemplate,
    rules: Mutex<Option<Arc<[Rule]>>>,
}

/// A row doesn't say what it touches.
struct Unsaid;

impl CacheRoute {
    pub(super) fn new(key: KeyTemplate) -> Self {
        Self(Arc::new(Inner { key, rules: Mutex::default() }))
    }

    /// From now on these are the rules.
    pub(super) fn set(&self, rules: Vec<Rule>) {
        *self.0.rules.lock() = Some(rules.into());
    }

    fn changed(&self, rule: &Rule, change: &Change) -> Touched<Key> {
        let Touches::Named { columns, tags } = &rule.touches else { return Touched::Everything };
        if change.changed == Changed::Truncated {
            return Touched::Everything;
        }
        let mut keys = Vec::new();
        let mut struck = Vec::new();
        for row in change.rows() {
            if let Some(columns) = columns {
                match self.key(columns, row) {
                    Ok(key) => keys.extend(key),
                    Err(Unsaid) => return Touched::Everything,
                }
            }
            for tag in tags {
                match render(tag, row) {
                    Ok(tag) => struck.extend(tag),
                    Err(Unsaid) => return Touched::Everything,
                }
            }
        }
        Touched::Several(vec![Touched::Keys(keys), Touched::Tags(struck)])
    }

    /// The key that a row belongs to; `None` where there can be none.
    fn key(&self, columns: &[String], row: &Row) -> Result<Option<Key>, Unsaid> {
        let mut values = Vec::with_capacity(columns.len());
        for (parameter, column) in self.0.key.parameters().iter().zip(columns) {
            match text(row, column)? {
                Some(text) => values.push(value(parameter.kind, text).ok_or(Unsaid)?),
                // Nothing is equal to NULL.
                None => return Ok(None),
            }
        }
        // A text that no key can hold is held by none.
        Ok(self.0.key.render(&values).ok().map(|key| Key::new(key.as_bytes())))
    }

    /// What a writer has left in its transaction, a thing on each line: `key user:42`,
    /// `tag tenant:7`.
    fn told(&self, message: &[u8]) -> Touched<Key> {
        let (mut keys, mut tags) = (Vec::new(), Vec::new());
        for line in message.split(|byte| *byte == b'\n') {
            match str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) {
                // That of another cache otherwise.
                Some(("key", key)) if self.0.key.matches(key).is_ok() => {
                    keys.push(Key::new(key.as_bytes()));
                }
                Some(("key", _)) => {}
                Some(("tag", tag)) => tags.push(tag.to_owned()),
                _ if line.is_empty() => {}
                // It was meant for us, and means something.
                _ => return Touched::Everything,
            }
        }
        Touched::Several(vec![Touched::Keys(keys), Touched::Tags(tags)])
    }
}

impl Route<Key> for CacheRoute {
    fn touched(&self, notice: &Notice) -> Touched<Key> {
        let rules = self.0.rules.lock().clone();
        let Some(rules) = rules else { return Touched::Everything };
        let of = |table: &Table| rules.iter().find(|rule| rule.table == *table);
        match notice {
            Notice::Changed(change) => match of(&change.table) {
                Some(rule) => self.changed(rule, change),
                None => Touched::Nothing,
            },
            Notice::Altered(table) if of(table).is_some() => Touched::Everything,
            Notice::Altered(_) => Touched::Nothing,
            Notice::Message(message) => self.told(message),
        }
    }
}

/// The text of a column; `None` is NULL.
fn text<'r>(row: &'r Row, column: &str) -> Result<Option<&'r str>, Unsaid> {
    match row.get(column) {
        Field::Null => Ok(None),
        Field::Text(bytes) => str::from_utf8(bytes).map(Some).map_err(|_| Unsaid),
        Field::Unknown => Err(Unsaid),
    }
}

/// What a key holds whose row has this text there; `None` where that isn't known.
fn value(kind: ParameterKind, text: &str) -> Option<ParameterValue> {
    match kind {
        ParameterKind::Text => Some(ParameterValue::Text(text.to_owned())),
        ParameterKind::Bool => match text {
            "t" | "true" | "1" => Some(ParameterValue::Bool(true)),
            "f" | "false" | "0" => Some(ParameterValue::Bool(false)),
            _ => None,
        },
        ParameterKind::Int | ParameterKind::Uuid | ParameterKind::Version => kind.read(text),
    }
}

/// The tag that a row has; none where one of its columns is NULL.
fn render(tag: &TagTemplate, row: &Row) -> Result<Option<String>, Unsaid> {
    let mut rendered = String::new();
    for piece in tag.pieces() {
        match piece {
            TagPiece::Text(literal) => rendered.push_str(literal),
            TagPiece::Name(column) => match text(row, column)? {
                Some(text) => rendered.push_str(text),
                None => return Ok(None),
            },
        }
    }
    Ok(Some(rendered))
}

#[cfg(test)]
mod tests {
    use larder_core::change::Changed;

    use super::*;

    fn table(name: &str) -> Table {
        Table { schema: "public".into(), name: name.into() }
    }

    /// A route of `order:{shop:text}:{no:int}` with one rule for `orders`.
    fn route(columns: Option<[&str; 2]>, tags: &[&str]) -> CacheRoute {
        let route = CacheRoute::new(KeyTemplate::parse("order:{shop:text}:{no:int}").unwrap());
        let columns = columns.map(|columns| columns.map(str::to_owned).to_vec());
        let tags = tags.iter().map(|tag| TagTemplate::parse(tag).unwrap()).collect();
        let named = Rule { table: table("orders"), touches: Touches::Named { columns, tags } };
        route.set(vec![named, Rule { table: table("shops"), touches: Touches::Everything }]);
        route
    }

    fn row(shop: Field, no: Field) -> Row {
        Row::new(["shop".into(), "id".into()].into(), [shop, no])
    }

    fn is(text: &'static str) -> Field {
        Field::Text(text.into())
    }

    fn changed(name: &str, changed: Changed) -> Notice {
        Notice::Changed(Change { table: table(name), changed })
    }

    /// The texts of the keys and the tags; `None` is everything.
    fn touched(route: &CacheRoute, notice: &Notice) -> Option<Vec<String>> {
        fn all(touched: Touched<Key>) -> Option<Vec<String>> {
            match touched {
                Touched::Everything => None,
                Touched::Nothing => Some(Vec::new()),
                Touched::Tags(tags) => Some(tags),
                Touched::Keys(keys) => {
                    let text = |key: &Key| str::from_utf8(key.as_bytes()).unwrap().to_owned();
                    Some(keys.iter().map(text).collect())
                }
                Touched::Several(several) => {
                    several.into_iter().map(all).collect::<Option<Vec<_>>>().map(|all| all.concat())
                }
            }
        }
        all(route.touched(notice))
    }

    #[test]
    fn a_row_touches_the_keys_that_it_had_and_has() {
        let route = route(Some(["shop", "id"]), &["shop:{shop}"]);
        let new = row(is("bonn"), is("7"));
        let inserted = changed("orders", Changed::Inserted(new.clone()));
        assert_eq!(touched(&route, &inserted).unwrap(), ["order:bonn:7", "shop:bonn"]);
        let old = Some(row(is("ulm"), is("7")));
        let moved = changed("orders", Changed::Updated { old, new });
        let both = ["order:ulm:7", "order:bonn:7", "shop:ulm", "shop:bonn"];
        assert_eq!(touched(&route, &moved).unwrap(), both);
        assert_eq!(touched(&route, &changed("other", Changed::Truncated)).unwrap(), [""; 0]);
    }

    #[test]
    fn what_a_row_does_not_say_touches_everything() {
        let route = route(Some(["shop", "id"]), &[]);
        for unsaid in [
            row(Field::Unknown, is("7")),
            row(is("ulm"), is("7.0")),
            row(is("ulm"), is("x")),
            row(Field::Text(b"\xff"[..].into()), is("7")),
        ] {
            assert_eq!(touched(&route, &changed("orders", Changed::Deleted(unsaid))), None);
        }
        assert_eq!(touched(&route, &changed("orders", Changed::Truncated)), None);
        assert_eq!(
            touched(&route, &changed("shops", Changed::Inserted(row(is("a"), is("1"))))),
            None
        );
        assert_eq!(touched(&route, &Notice::Altered(table("orders"))), None);
        assert_eq!(touched(&route, &Notice::Altered(table("other"))).unwrap(), [""; 0]);
    }

    #[test]
    fn a_row_that_no_key_can_name_touches_none() {
        let route = route(Some(["shop", "id"]), &["shop:{shop}"]);
        // A colon would end the text, and nothing is equal to NULL.
        let odd = changed("orders", Changed::Deleted(row(is("a:b"), is("7"))));
        assert_eq!(touched(&route, &odd).unwrap(), ["shop:a:b"]);
        let null = changed("orders", Changed::Deleted(row(Field::Null, is("7"))));
        assert_eq!(touched(&route, &null).unwrap(), [""; 0]);
    }

    #[test]
    fn a_writer_names_keys_and_tags_itself() {
        let route = route(None, &[]);
        let told = |text: &'static str| touched(&route, &Notice::Message(text.into()));
        assert_eq!(
            told("tag shop:a b\nkey order:ulm:7\nkey user:7\n").unwrap(),
            ["order:ulm:7", "shop:a b"]
        );
        assert_eq!(told("").unwrap(), [""; 0]);
        assert_eq!(told("order:ulm:7"), None);
        assert_eq!(told("keys order:ulm:7"), None);
    }

    #[test]
    fn until_the_rules_are_known_any_change_touches_everything() {
        let route = CacheRoute::new(KeyTemplate::parse("user:{id:int}").unwrap());
        assert_eq!(touched(&route, &changed("other", Changed::Truncated)), None);
    }

    #[test]
    fn a_truth_has_the_spelling_of_the_key() {
        let truth = |text| value(ParameterKind::Bool, text).map(|value| value.to_string());
        assert_eq!(truth("t").as_deref(), Some("true"));
        assert_eq!(truth("0").as_deref(), Some("false"));
        assert_eq!(truth("yes"), None);
    }
}
