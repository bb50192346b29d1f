//! The page that says of every command of Redis what becomes of it here, made from both tables of
//! commands.

mod opening;
mod tags;

use std::fmt::Write as _;

use super::TABLE;
use super::redis;
use opening::OPENING;
use tags::TAGS;

/// The groups of Redis in the order of the page, with their headings.
const GROUPS: [(&str, &str); 15] = [
    ("string", "Strings"),
    ("generic", "Keys"),
    ("bitmap", "Bitmaps"),
    ("hash", "Hashes"),
    ("list", "Lists"),
    ("set", "Sets"),
    ("sorted-set", "Sorted sets"),
    ("stream", "Streams"),
    ("geo", "Places"),
    ("hyperloglog", "HyperLogLog"),
    ("pubsub", "Pub/Sub"),
    ("transactions", "Transactions"),
    ("scripting", "Scripts"),
    ("connection", "The connection"),
    ("server", "The server"),
];

/// A group of Redis that has nothing but refused commands here, so it stands last.
const CLUSTER: (&str, &str) = ("cluster", "Clusters");

const LATER: &str = "\
## Of later versions

Passed through as well, to a Redis that has them:
";

/// The page, in Markdown.
#[must_use]
pub fn compatibility() -> String {
    let mut page = [OPENING, TAGS].concat();
    // Writing into a String can't fail.
    for (group, heading) in GROUPS.into_iter().chain([CLUSTER]) {
        let _ = write!(page, "\n## {heading}\n\n| command | | |\n|---|---|---|\n");
        let mut lines = Vec::new();
        for command in TABLE.iter().filter(|command| command.group == group) {
            let call = format!("{} {}", command.name, command.arguments);
            let call = call.trim_end().replace('|', "\\|");
            lines.push((command.name, format!("| `{}` | here | `{call}` |", command.name)));
        }
        let is_here = |name| TABLE.iter().any(|command| command.name == name);
        for command in redis::of_redis_7().filter(|command| command.group == group) {
            if is_here(command.name) {
                continue;
            }
            let fate = match command.refusal() {
                None => "Redis | ".to_owned(),
                Some(reason) => format!("refused | {reason}"),
            };
            lines.push((command.name, format!("| `{}` | {fate} |", command.name)));
        }
        lines.sort_unstable();
        for (_, line) in lines {
            let _ = writeln!(page, "{line}");
        }
    }
    let later: Vec<_> = redis::later().map(|command| format!("`{}`", command.name)).collect();
    let _ = write!(page, "\n{LATER}{}.\n", later.join(", "));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page in the repository is the one that the tables make.
    #[test]
    fn the_reference_page_of_compatibility_is_up_to_date() {
        larder_test::assert_page("redis-compatibility.md", &compatibility(), "larder-resp");
    }

    #[test]
    fn every_command_of_redis_has_a_place_on_the_page() {
        let page = compatibility();
        let own = TABLE.iter().map(|command| command.name);
        let own = own.filter(|name| !name.starts_with("LARDER."));
        for name in own.chain(redis::of_redis_7().map(|command| command.name)) {
            assert_eq!(page.matches(&format!("\n| `{name}` |")).count(), 1, "{name}");
        }
    }
}
