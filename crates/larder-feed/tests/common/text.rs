//! What was told, as short texts: `+1 Ada`, `-1`, `1>2 Ada`, `~users`, `"message"`.

use larder_core::change::{Changed, Field};
use larder_core::feed::Notice;

pub(crate) fn of(notice: &Notice) -> String {
    let changed = match notice {
        Notice::Changed(change) => change,
        Notice::Altered(table) => return format!("altered {}", table.name),
        Notice::Message(content) => return format!("{:?}", str::from_utf8(content).unwrap()),
    };
    match &changed.changed {
        Changed::Inserted(new) => {
            format!("+{} {}", field(new.get("id")), field(new.get("name")))
        }
        Changed::Updated { old, new } => {
            let old = old.as_ref().map_or(String::new(), |old| field(old.get("id")) + ">");
            format!("{old}{} {}", field(new.get("id")), field(new.get("name")))
        }
        Changed::Deleted(old) => format!("-{}", field(old.get("id"))),
        Changed::Truncated => format!("~{}", changed.table.name),
    }
}

pub(crate) fn field(field: &Field) -> String {
    match field {
        Field::Null => "null".to_owned(),
        Field::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        Field::Unknown => "?".to_owned(),
    }
}
