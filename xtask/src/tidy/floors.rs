//! Who may depend on whom.
//!
//! A crate depends only on lower floors; what stands beside the floors may depend on anything,
//! and only tests may depend on it.

use super::Complaint;
use super::project::{Dependency, Kind, Member, Project};

/// Every crate and its floor.
const FLOORS: [(&str, u8); 17] = [
    ("larder-core", 0),
    ("larder-macros", 0),
    ("larder-policy", 0),
    ("larder-feed", 1),
    ("larder-journal", 1),
    ("larder-memcached", 1),
    ("larder-memory", 1),
    ("larder-nats", 1),
    ("larder-redis", 1),
    ("larder-sql", 1),
    ("larder-engine", 2),
    ("larder-sim", 2),
    ("larder-http", 3),
    ("larder-resp", 3),
    ("larder", 4),
    ("larder-server", 5),
    ("larder-cli", 6),
];

/// What stands beside the floors.
const BESIDE: [&str; 4] = ["larder-bench", "larder-crash", "larder-test", "xtask"];

/// The crates that name all that they may depend on.
const ALLOWED: [(&str, &[&str]); 2] =
    [("larder-core", &["bytes", "futures-core", "shuttle"]), ("larder-policy", &[])];

/// Of larder's own crates, the engine knows the memory tier and the contracts.
const ENGINE_KNOWS: [&str; 2] = ["larder-core", "larder-memory"];

/// What must not be pulled in by whom, directly or not.
const NEVER_PULLED: [(&str, &str); 3] =
    [("larder-memory", "tokio"), ("larder-journal", "tokio"), ("larder-core", "tokio")];

pub(super) fn check(project: &Project, complaints: &mut Vec<Complaint>) {
    for member in &project.members {
        let folder = format!("crates/{}/Cargo.toml", member.name);
        if member.manifest.starts_with("crates/") && member.manifest != folder {
            let remedy = format!("the folder of {} is crates/{0}", member.name);
            complain(project, member, "", "folder and crate have two names", remedy, complaints);
        }
        if floor(&member.name).is_none() && !BESIDE.contains(&member.name.as_str()) {
            let wrong = format!("{} stands on no floor", member.name);
            let remedy = "give it one in xtask/src/tidy/floors.rs and in ARCHITECTURE.md";
            complain(project, member, "", wrong, remedy, complaints);
        }
        for dependency in &member.dependencies {
            if dependency.kind == Kind::Normal {
                check_dependency(project, member, dependency, complaints);
            }
        }
    }
    for (name, pulled) in NEVER_PULLED {
        let member = project.members.iter().find(|member| member.name == name);
        let pulls = project.pulls(name);
        if let (Some(member), Some(by)) = (member, pulls.get(pulled)) {
            let wrong = format!("{name} pulls {pulled}, through {by}");
            let remedy = "it has no runtime: drop the dependency or its feature";
            complain(project, member, "[dependencies]", wrong, remedy, complaints);
        }
    }
}

fn check_dependency(
    project: &Project,
    member: &Member,
    dependency: &Dependency,
    complaints: &mut Vec<Complaint>,
) {
    let (from, to) = (member.name.as_str(), dependency.name.as_str());
    let wrong = format!("{from} depends on {to}");
    let mut refuse = |remedy: String| {
        complain(project, member, to, wrong.clone(), remedy, complaints);
    };
    if let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from)
        && !allowed.contains(&to)
    {
        refuse(match allowed {
            [] => "it depends on nothing".to_owned(),
            _ => format!("it may depend on nothing but {}", allowed.join(" and ")),
        });
    }
    if from == "larder-core"
        && to == "shuttle"
        && dependency.target.as_deref() != Some("cfg(shuttle)")
    {
        refuse("put it under [target.\"cfg(shuttle)\".dependencies]".to_owned());
    }
    let Some(below) = floor(from) else { return };
    if BESIDE.contains(&to) {
        refuse("make it a dev-dependency: only tests may use it".to_owned());
    }
    if let Some(floor) = floor(to) {
        if floor >= below {
            refuse(format!(
                "it stands on floor {below} and may use lower floors only, not floor {floor}; \
                 move what both need down, or turn the dependency round"
            ));
        } else if from == "larder-engine" && !ENGINE_KNOWS.contains(&to) {
            refuse("the engine knows the memory tier and the contracts of larder-core".to_owned());
        }
    }
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(crate_name, _)| *crate_name == name).map(|(_, floor)| *floor)
}

/// A complaint at the line of the member's manifest that holds `text`.
fn complain(
    project: &Project,
    member: &Member,
    text: &str,
    wrong: impl Into<String>,
    remedy: impl Into<String>,
    complaints: &mut Vec<Complaint>,
) {
    let line = project.file(&member.manifest).map_or(1, |file| file.line_of(text));
    complaints.push(Complaint::new(&member.manifest, line, wrong, remedy));
}
