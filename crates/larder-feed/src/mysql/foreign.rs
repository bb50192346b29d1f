//! Foreign keys that change rows by themselves: InnoDB carries them out, and its log says nothing
//! about the rows that it touches.

use larder_core::Result;
use larder_core::change::Table;

use super::config;
use super::control::{Control, internal, text};

/// So many tables may stand above those that are followed.
const TABLES_MAX: usize = 1_024;

/// A foreign key by which a change of one table changes another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Foreign {
    pub(super) parent: Table,
    pub(super) child: Table,
    /// Deleting there changes rows here.
    pub(super) on_delete: bool,
    /// Changing one of these columns there changes rows here.
    pub(super) on_update: Option<Vec<String>>,
}

/// Those by which these tables are changed, also over others.
pub(super) async fn above(
    control: &Control,
    tables: impl Iterator<Item = Table>,
) -> Result<Vec<Foreign>> {
    let mut tables: Vec<Table> = tables.collect();
    let (mut keys, mut at) = (Vec::new(), 0);
    while let Some(table) = tables.get(at).cloned() {
        at += 1;
        if tables.len() > TABLES_MAX {
            return Err(config("foreign keys lead to more tables than can be followed"));
        }
        let name = |name: &str| format!("`{}`", name.replace('`', "``"));
        let sql = format!("SHOW CREATE TABLE {}.{}", name(&table.schema), name(&table.name));
        let row = control.row(&sql).await?;
        let created = text(&row, 1).ok_or_else(|| internal("a table without a definition"))?;
        for key in created.lines().filter_map(|line| read(line, &table)) {
            if !tables.contains(&key.parent) {
                tables.push(key.parent.clone());
            }
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The foreign key that a line of a table's definition makes, if it changes rows by itself.
fn read(line: &str, child: &Table) -> Option<Foreign> {
    let line = line.trim_start().strip_prefix("CONSTRAINT ")?;
    let (_, rest) = quoted(line)?;
    let (_, rest) = columns(rest.strip_prefix(" FOREIGN KEY ")?)?;
    let (first, rest) = quoted(rest.strip_prefix(" REFERENCES ")?)?;
    let (schema, name, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (name, rest) = quoted(rest)?;
            (first.into(), name, rest)
        }
        None => (child.schema.clone(), first, rest),
    };
    let (referred, rules) = columns(rest.trim_start())?;
    let changes = |event: &str| {
        let rule = rules.split_once(event).map_or("", |(_, rule)| rule.trim_start());
        rule.starts_with("CASCADE") || rule.starts_with("SET ")
    };
    let on_update = changes("ON UPDATE").then_some(referred);
    let on_delete = changes("ON DELETE");
    let parent = Table { schema, name: name.into() };
    (on_delete || on_update.is_some()).then(|| Foreign {
        parent,
        child: child.clone(),
        on_delete,
        on_update,
    })
}

/// A list of names in parentheses.
fn columns(text: &str) -> Option<(Vec<String>, &str)> {
    let mut rest = text.strip_prefix('(')?;
    let mut names = Vec::new();
    loop {
        let (name, after) = quoted(rest)?;
        names.push(name);
        match after.trim_start().strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => return Some((names, after.trim_start().strip_prefix(')')?)),
        }
    }
}

/// A name in backquotes, and what comes behind it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text.strip_prefix('`')?;
    loop {
        let (part, after) = rest.split_once('`')?;
        name.push_str(part);
        match after.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return Some((name, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, name: &str) -> Table {
        Table { schema: schema.into(), name: name.into() }
    }

    #[test]
    fn foreign_keys_that_change_rows_are_found() {
        let child = table("shop", "items");
        let line = "  CONSTRAINT `it``s` FOREIGN KEY (`a`,`b``c`) REFERENCES `orders` (`id`, \
                    `part`) ON DELETE CASCADE ON UPDATE SET NULL,";
        assert_eq!(
            read(line, &child),
            Some(Foreign {
                parent: table("shop", "orders"),
                child: child.clone(),
                on_delete: true,
                on_update: Some(vec!["id".to_owned(), "part".to_owned()]),
            })
        );
        let line =
            "  CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `other`.`o` (`id`) ON DELETE SET NULL";
        let key = read(line, &child).unwrap();
        assert_eq!((key.parent, key.on_delete, key.on_update), (table("other", "o"), true, None));
    }

    #[test]
    fn what_changes_no_rows_is_none() {
        let child = table("shop", "items");
        for line in [
            "  CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `o` (`id`)",
            "  CONSTRAINT `x` FOREIGN KEY (`a`) REFERENCES `o` (`id`) ON DELETE NO ACTION",
            "  CONSTRAINT `x` CHECK (`a` > 0)",
            "  KEY `x` (`a`),",
            "",
        ] {
            assert_eq!(read(line, &child), None, "{line}");
        }
    }
}
