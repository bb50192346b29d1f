//! How files look: what a file begins with, how long its lines are, and words that stand for
//! work not done or places that a reader doesn't have.

use super::Complaint;
use super::names::is_test;
use super::project::{File, Project};
use super::rust::{self, Kind, Token};

/// The longest line, in characters.
const COLUMNS_MAX: usize = 100;

/// Words that promise work. In pieces, because this file is checked as well.
const UNDONE: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Places that are no part of the project.
const OUTSIDE: [&str; 3] =
    [concat!(".", "library"), concat!("../", "shared"), concat!("/", "work/")];

pub(super) fn check(project: &Project, complaints: &mut Vec<Complaint>) {
    for file in project.files.iter().filter(|file| file.path != "Cargo.lock") {
        check_outside(file, complaints);
        if !file.is_rust() {
            check_undone(file, file.text.lines().zip(1..), complaints);
            continue;
        }
        let tokens = rust::tokens(&file.text);
        let comments = || tokens.iter().filter(|token| token.kind == Kind::Comment);
        check_undone(file, comments().map(|token| (token.text, token.line)), complaints);
        check_opening(file, complaints);
        check_columns(file, complaints);
        check_ignored(file, &tokens, complaints);
    }
}

fn check_opening(file: &File, complaints: &mut Vec<Complaint>) {
    if !file.text.starts_with("//! ") {
        let remedy = "begin it with //! and what it is, where it stands, what it doesn't know";
        complaints.push(Complaint::new(&file.path, 1, "the file doesn't say what it is", remedy));
    }
}

fn check_columns(file: &File, complaints: &mut Vec<Complaint>) {
    // Tests hold SQL and expected texts as they are.
    if is_test(&file.path) {
        return;
    }
    for (line, number) in file.text.lines().zip(1..) {
        let columns = line.chars().count();
        // An address can't be broken, nor can the row of a table.
        let whole = line.contains("://") || line.trim_start().starts_with("//! |");
        if columns > COLUMNS_MAX && !whole {
            let wrong = format!("{columns} columns");
            let remedy = format!("break the line: {COLUMNS_MAX} is the limit");
            complaints.push(Complaint::new(&file.path, number, wrong, remedy));
        }
    }
}

fn check_undone<'a>(
    file: &File,
    texts: impl Iterator<Item = (&'a str, usize)>,
    complaints: &mut Vec<Complaint>,
) {
    for (text, first) in texts {
        for (line, number) in text.lines().zip(first..) {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if let Some(word) = words.find(|word| UNDONE.contains(word)) {
                let remedy = "do it now or leave it out; what is planned stands elsewhere";
                complaints.push(Complaint::new(&file.path, number, format!("a {word}"), remedy));
            }
        }
    }
}

fn check_outside(file: &File, complaints: &mut Vec<Complaint>) {
    for (line, number) in file.text.lines().zip(1..) {
        if let Some(place) = OUTSIDE.iter().find(|place| line.contains(**place)) {
            let wrong = format!("names {place}");
            let remedy = "that is no part of the project; say what is meant instead";
            complaints.push(Complaint::new(&file.path, number, wrong, remedy));
        }
    }
}

/// Tests and examples that nobody runs.
fn check_ignored(file: &File, tokens: &[Token<'_>], complaints: &mut Vec<Complaint>) {
    let remedy = "make it run everywhere, or delete it";
    for window in tokens.windows(3) {
        if [window[0].text, window[1].text, window[2].text] == ["#", "[", "ignore"] {
            let wrong = "a test that nobody runs";
            complaints.push(Complaint::new(&file.path, window[2].line, wrong, remedy));
        }
    }
    for token in tokens.iter().filter(|token| token.kind == Kind::Comment) {
        let text = token.text.trim_start_matches(['/', '!', ' ']);
        if text.strip_prefix("```").is_some_and(|info| info.contains("ignore")) {
            let wrong = "an example that nobody compiles";
            complaints.push(Complaint::new(&file.path, token.line, wrong, remedy));
        }
    }
}
