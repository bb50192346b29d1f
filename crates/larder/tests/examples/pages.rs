//! The pages of the documentation: the Rust in them is that of the examples, word for word, and
//! their links lead somewhere.
//!
//! A block of Rust stands after a comment that says where it comes from: the name of an example,
//! and for a part of it what the part's first line begins with.
//!
//! ```text
//! <!-- example: tickets -->
//! <!-- example: tickets: async fn price( -->
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use larder_test::assert_page;

/// The folders of `docs` whose pages are written for users, by hand or generated.
const FOLDERS: [&str; 2] = ["", "concepts"];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The names of all pages, relative to `docs`, and their texts.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for folder in FOLDERS {
        for file in fs::read_dir(docs().join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                let name = path.strip_prefix(docs()).unwrap().display().to_string();
                pages.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    pages
}

fn example(name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{name}.rs"));
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("the example {name}: {error}"))
}

/// What a comment in a page stands for.
fn shown(origin: &str) -> String {
    match origin.split_once(": ") {
        None => example(origin),
        Some((name, beginning)) => part(&example(name), beginning),
    }
}

/// The item or statement that begins so, without its indentation.
fn part(text: &str, beginning: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(beginning));
    let first = lines.next().unwrap_or_else(|| panic!("nothing begins with {beginning}"));
    let indentation = first.len() - first.trim_start().len();
    let (mut part, mut depth) = (String::new(), 0_i32);
    for line in [first].into_iter().chain(lines) {
        let code = line.split(" // ").next().unwrap_or(line).trim_end();
        part.push_str(line.get(indentation..).unwrap_or_default());
        part.push('\n');
        for character in code.chars() {
            depth += i32::from("([{".contains(character)) - i32::from(")]}".contains(character));
        }
        if depth == 0 && code.ends_with([';', '}']) {
            return part;
        }
    }
    panic!("what begins with {beginning} has no end");
}

/// The page with the code of the examples in it.
fn filled(name: &str, text: &str) -> String {
    let (mut page, mut origin) = (String::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```rust" {
            let origin =
                origin.take().unwrap_or_else(|| panic!("{name}: Rust that comes from no example"));
            page.push_str(&format!("```rust\n{}```\n", shown(origin)));
            assert!(lines.any(|line| line == "```"), "{name}: a block without an end");
            continue;
        }
        origin = line.strip_prefix("<!-- example: ").and_then(|rest| rest.strip_suffix(" -->"));
        page.push_str(line);
        page.push('\n');
    }
    page
}

#[test]
fn the_code_in_the_docs_is_that_of_the_examples_to_which_they_have_a_reference() {
    let pages = pages().into_iter().filter(|(_, text)| text.contains("```rust"));
    for (name, text) in pages {
        assert_page(&name, &filled(&name, &text), "larder");
    }
}

#[test]
fn the_start_has_as_many_lines_as_it_says_and_fewer_than_forty() {
    let lines = example("start").lines().count();
    assert!(lines < 40, "{lines} lines");
    let page = fs::read_to_string(docs().join("start.md")).unwrap();
    assert!(page.contains(&format!("{lines} lines")), "the page says another number than {lines}");
}

#[test]
fn the_index_names_every_page_and_every_example() {
    let index = fs::read_to_string(docs().join("README.md")).unwrap();
    let pages = pages().into_iter().map(|(name, _)| name).filter(|name| name != "README.md");
    let examples = crate::RUNS.iter().map(|name| format!("examples/{name}.rs"));
    for name in pages.chain(examples) {
        assert!(index.contains(&format!("{name})")), "docs/README.md leaves out {name}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for (name, text) in pages() {
        let folder = docs().join(&name).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            if path.contains("://") {
                continue;
            }
            let target = if path.is_empty() { docs().join(&name) } else { folder.join(path) };
            assert!(target.exists(), "{name} links to {link}");
            if !heading.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                let headings = target.lines().filter(|line| line.starts_with('#'));
                assert!(headings.map(anchor).any(|found| found == heading), "{name}: {link}");
            }
        }
    }
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn a_part_of_an_example_is_the_whole_item_or_statement() {
    let text = "use a;\n\n    fn one(\n        a: u8, // }\n    ) {\n        two(a);\n    }\nlet x = f(1)\n    .g();\nend;";
    assert_eq!(part(text, "fn one("), "fn one(\n    a: u8, // }\n) {\n    two(a);\n}\n");
    assert_eq!(part(text, "let x"), "let x = f(1)\n    .g();\n");
}
