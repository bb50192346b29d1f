//! The reference page, made from the table of options.

use super::options::{Default, Heads, SECTIONS, cache, later::LATER};
use super::value::Form;

/// A whole configuration: every section, most options, each with a value other than its default
/// or one that must be given.
pub(super) const EXAMPLE: &str = include_str!("example.toml");

const OPENING: &str = "\
# Configuration

<!-- Generated from the options by `UPDATE_DOCS=1 cargo test -p larder-server reference`. -->

larder reads one file in [TOML](https://toml.io). `larder check larder.toml` says in words what it
promises, and everything that is wrong with it at once.

- **Durations** are text with a unit: `\"100ms\"`, `\"2s\"`, `\"1h\"`, `\"1h 30m\"`, `\"7d\"`.
- **Sizes** are text with a unit: `\"64KiB\"`, `\"256MiB\"`, `\"1GiB\"`; a KiB is 1,024 bytes.
- **Secrets** come from the environment: `${NAME}` anywhere within a text value is replaced by the
  variable's value, which is not looked at again. A variable that isn't set is an error. Where a
  number, `true` or `false` is needed, `\"${NAME}\"` in quotes may stand instead. Every other `$`
  stands for itself; a literal `${` is written `$${`.
- **Passwords, tokens and the passwords in URLs** are never shown: not in logs, not in reports, not
  in the lines that errors quote.
- **What larder doesn't know is an error**, with the nearest name: a misspelt promise would be
  another promise.
- **Names** of sources and caches begin with a small letter and go on with small letters, digits,
  `_` and `-`, at most 64 in all.
- The file is UTF-8, and at most 1 MiB.
";

const KEYS_AND_TAGS: &str = "
### Keys and tags

The text before the first parameter of a `key` claims a namespace: what begins so fits a template
or is an error. Each parameter has one spelling, so that a row has one key.

- `{name:int}` is `0`, or an optional `-` and digits without a leading zero, within 64 bits.
- `{name:text}` is at least one character, none of them a control character or the one that
  follows the parameter.
- `{name:uuid}` is 36 characters, lower case, with hyphens.
- `{name:bool}` is `true` or `false`.
- `{name:version}` is `0`, or digits without a leading zero, within 64 bits without a sign. It is
  part of the key and of nothing else: `load` can't name it. Who counts the versions of a row, and
  reads the seventh as `user:42:7`, never meets what was held of the sixth.

`{{` and `}}` are the braces themselves, in a key as in a tag.

In a tag, `{name}` is the parameter of the key that has this name, or else the column of the result.
The text of a column is that of its JSON, a string without its quotes; a `NULL` makes no tag. A tag
without columns is there even when the database has no row, so that absences go with it, too. With
`rows = \"many\"` an entry has the tags of all its rows, each once. A name that is neither is an
error as soon as the database can be asked; more than 128 tags for one entry, or one of more than
1,024 bytes, are an error of the load.
";

const WRITING: &str = "
### Writing

A cache takes the writes that it has a statement for. A value is stored, and everybody who reads
here afterwards gets it or what came after it; what `write` and `consistency` promise beyond that is
in [writing](concepts/writing.md).

```toml
[cache.visits]
key = \"visits:{page:int}\"
load = \"SELECT n FROM visits WHERE page = {page}\"
column = \"raw\"
max_staleness = \"10s\"
add = \"\"\"INSERT INTO visits VALUES ({page}, {delta})
         ON CONFLICT (page) DO UPDATE SET n = visits.n + excluded.n\"\"\"
write = \"behind\"                  # acknowledged by the journal, applied in batches

[journal]
path = \"/var/lib/larder/journal\"
```

- A name in braces is bound, never pasted: a parameter of the key, or else a field of the document
  that is stored, `{value}` with `column = \"raw\"`, or `{delta}` in `add`. `delete` has the key
  alone.
- `through` keeps what the statement returns, if it returns every column of `load`: write
  `RETURNING`. It has the tags that a load would give it. Where the load has conditions that a
  written row may not meet, return nothing.
- `behind` needs three tables beside the data, which tell what was applied before.
  `larder check` prints the SQL that makes them; larder itself never changes a schema.
- What was added behind is read at once: the value, or the column that `counter` names, plus what
  was added. That it is an integer of 64 bits is taken for granted. Of a row that isn't there an
  `INSERT` into a raw value is taken to store the delta itself. Otherwise nobody knows what it
  makes of nothing, as an `UPDATE` finds no row: who reads the key before it is applied is refused,
  and so is who adds to a key whose deletion isn't applied yet.
";

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = format!("{OPENING}\n## Example\n\n```toml\n{EXAMPLE}```\n");
    for section in SECTIONS {
        page.push_str(&format!("\n## `{}`\n\n{}\n", section.header(), section.about));
        if section.heads == Heads::Named {
            page.push_str("It may stand any number of times, each with a name of its own.\n");
        }
        match section.heads {
            Heads::One | Heads::Named => {}
            Heads::Within(outer) => {
                page.push_str(&format!("It may stand once for each {outer}.\n"));
            }
            Heads::Each(outer) => {
                page.push_str(&format!("It may stand any number of times for each {outer}.\n"));
            }
        }
        page.push_str("\n| option | value | default | what it is |\n|---|---|---|---|\n");
        for option in section.options {
            let default = match option.default {
                Default::Required => "must be given".to_owned(),
                Default::Value(value) if option.form == Form::Text => format!("`\"{value}\"`"),
                Default::Value(value) => format!("`{value}`"),
                Default::Words(words) => words.to_owned(),
            };
            let (name, what, why) = (option.name, option.value(), option.why);
            page.push_str(&format!("| `{name}` | {what} | {default} | {why} |\n"));
        }
        if section.name == cache::SECTION.name {
            page.push_str(KEYS_AND_TAGS);
            page.push_str(WRITING);
        }
    }
    page.push_str(
        "\n## Not in this version yet\n\nThese are refused as such.\n\n\
         | where | what | until then |\n|---|---|---|\n",
    );
    for later in LATER {
        let header = SECTIONS.into_iter().find(|section| Some(section.name) == later.section);
        let row = match header {
            Some(section) => format!("| `{}` | `{}` |", section.header(), later.name),
            None => format!("| `[{}]` | the section |", later.name),
        };
        page.push_str(&format!("{row} {} |\n", later.instead));
    }
    page
}
