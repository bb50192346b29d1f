//! What the rules look at: the project's text files, and its crates as cargo sees them.
//!
//! Read once; the rules themselves touch neither disk nor cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Everything that is checked.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) files: Vec<File>,
    pub(super) members: Vec<Member>,
    /// Every package of the build with the packages it needs to run or to be built, by name.
    pub(super) needs: BTreeMap<String, BTreeSet<String>>,
}

/// A text file.
#[derive(Debug)]
pub(super) struct File {
    /// From the project's root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// From the project's root, with `/`.
    pub(super) manifest: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// What a crate's manifest says that it depends on.
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The `cfg(…)` under which it is needed.
    pub(super) target: Option<String>,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// For the crate itself, or to build it.
    Normal,
    /// For its tests, examples and benchmarks.
    Dev,
}

impl Project {
    /// Reads the project that this binary was built from.
    pub(super) fn read() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = root.parent().ok_or("xtask has no parent folder")?;
        let mut files = Vec::new();
        read_files(root, root, &mut files).map_err(|error| format!("can't read files: {error}"))?;
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let metadata = cargo_metadata(root)?;
        let members = members(&metadata, root).ok_or("cargo metadata lacks a field")?;
        let needs = needs(&metadata).ok_or("cargo metadata lacks a field")?;
        Ok(Self { files, members, needs })
    }

    /// The file at `path`, if there is one.
    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Everything that `name` pulls in, directly or not, with the package that pulls it.
    pub(super) fn pulls(&self, name: &str) -> BTreeMap<&str, &str> {
        let mut found = BTreeMap::new();
        let mut open = vec![name];
        while let Some((by, needs)) = open.pop().and_then(|name| self.needs.get_key_value(name)) {
            for need in needs {
                if !found.contains_key(need.as_str()) {
                    found.insert(need.as_str(), by.as_str());
                    open.push(need);
                }
            }
        }
        found
    }
}

impl File {
    /// Whether this is Rust code.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The number of the first line that holds `text`, or 1.
    pub(super) fn line_of(&self, text: &str) -> usize {
        self.text.lines().position(|line| line.contains(text)).map_or(1, |at| at + 1)
    }
}

/// All text files except hidden and built ones; of the hidden folders only the project's own.
fn read_files(root: &Path, folder: &Path, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let relative =
            path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let name = relative.rsplit('/').next().unwrap_or_default();
        let hidden = name.starts_with('.') && !matches!(name, ".cargo" | ".ci" | ".github");
        if hidden || matches!(name, "target" | "node_modules") || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            read_files(root, &path, files)?;
        } else if let Ok(text) = fs::read_to_string(&path) {
            files.push(File { path: relative, text });
        }
    }
    Ok(())
}

fn cargo_metadata(root: &Path) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1"]).current_dir(root);
    let output = command.output().map_err(|error| format!("can't run cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn members(metadata: &Value, root: &Path) -> Option<Vec<Member>> {
    let ids: BTreeSet<&str> =
        metadata["workspace_members"].as_array()?.iter().filter_map(Value::as_str).collect();
    let packages = metadata["packages"].as_array()?.iter();
    let ours = packages.filter(|package| package["id"].as_str().is_some_and(|id| ids.contains(id)));
    ours.map(|package| {
        let manifest = Path::new(package["manifest_path"].as_str()?);
        let manifest = manifest.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
        let dependencies = package["dependencies"].as_array()?.iter().map(dependency);
        Some(Member {
            name: package["name"].as_str()?.to_owned(),
            manifest,
            dependencies: dependencies.collect::<Option<_>>()?,
        })
    })
    .collect()
}

fn dependency(value: &Value) -> Option<Dependency> {
    Some(Dependency {
        name: value["name"].as_str()?.to_owned(),
        kind: if value["kind"] == "dev" { Kind::Dev } else { Kind::Normal },
        target: value["target"].as_str().map(str::to_owned),
    })
}

fn needs(metadata: &Value) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let mut names = BTreeMap::new();
    for package in metadata["packages"].as_array()? {
        names.insert(package["id"].as_str()?, package["name"].as_str()?);
    }
    let mut needs = BTreeMap::<String, BTreeSet<String>>::new();
    for node in metadata["resolve"]["nodes"].as_array()? {
        // Two versions of one package are one name: a rule is about names.
        let name = names.get(node["id"].as_str()?)?;
        let needed = needs.entry((*name).to_owned()).or_default();
        for dependency in node["deps"].as_array()? {
            let mut kinds = dependency["dep_kinds"].as_array()?.iter();
            // What only the checker of interleavings needs is in nobody's build.
            if kinds.any(|kind| kind["kind"] != "dev" && kind["target"] != "cfg(shuttle)") {
                needed.insert((*names.get(dependency["pkg"].as_str()?)?).to_owned());
            }
        }
    }
    Some(needs)
}
