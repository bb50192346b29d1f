//! The rules that no compiler checks: who may depend on whom, who may name what, and how a file
//! looks.
//!
//! Each rule is a pure function from a [`Project`] to complaints, so that each is tested with a
//! project that breaks it. All complaints are printed at once.
//!
//! | module | rules about |
//! |---|---|
//! | [`floors`] | dependencies between crates |
//! | [`names`] | what a crate's code must not name |
//! | [`looks`] | how files look: docs, lines, words |
//! | [`upkeep`] | files that must exist, and what each member inherits |

mod floors;
mod looks;
mod names;
mod project;
mod rust;
#[cfg(test)]
mod tests;
mod upkeep;

use std::fmt;
use std::process::ExitCode;

use project::Project;

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    path: String,
    line: usize,
    wrong: String,
    remedy: String,
}

impl Complaint {
    fn new(path: &str, line: usize, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, wrong: wrong.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.wrong, self.remedy)
    }
}

/// Checks this project and prints what is wrong.
pub(crate) fn main() -> ExitCode {
    let project = match Project::read() {
        Ok(project) => project,
        Err(error) => {
            eprintln!("tidy: {error}");
            return ExitCode::FAILURE;
        }
    };
    let complaints = check(&project);
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy: {} files, nothing to complain about", project.files.len());
        return ExitCode::SUCCESS;
    }
    eprintln!("tidy: {} complaints", complaints.len());
    ExitCode::FAILURE
}

fn check(project: &Project) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for rule in [floors::check, names::check, looks::check, upkeep::check] {
        rule(project, &mut complaints);
    }
    complaints.sort();
    complaints.dedup();
    complaints
}
