//! What the project as a whole must have: its papers, and one version table, licence and lint
//! table for all members.

use super::Complaint;
use super::project::Project;

/// Files that a stranger looks for first.
const PAPERS: [&str; 5] =
    ["ARCHITECTURE.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];

/// What every member takes from the workspace.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

pub(super) fn check(project: &Project, complaints: &mut Vec<Complaint>) {
    for paper in PAPERS {
        if project.file(paper).is_none_or(|file| file.text.trim().is_empty()) {
            complaints.push(Complaint::new(paper, 1, "the file is missing or empty", "write it"));
        }
    }
    for member in &project.members {
        let text = project.file(&member.manifest).map_or("", |file| &file.text);
        for key in INHERITED {
            let inherited = format!("{key}.workspace = true");
            if !section(text, "[package]").any(|line| line == inherited) {
                let wrong = format!("{} has its own {key}", member.name);
                let remedy = format!("write {inherited} under [package]");
                complaints.push(Complaint::new(&member.manifest, 1, wrong, remedy));
            }
        }
        if !section(text, "[lints]").any(|line| line == "workspace = true") {
            let wrong = format!("{} has its own lints", member.name);
            let remedy = "write workspace = true under [lints]";
            complaints.push(Complaint::new(&member.manifest, 1, wrong, remedy));
        }
    }
}

/// The lines of a manifest's section.
fn section<'a>(text: &'a str, heading: &str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().map(str::trim).skip_while(move |line| *line != heading);
    lines.skip(1).take_while(|line| !line.starts_with('['))
}
