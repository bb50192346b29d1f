//! Generated pages of the documentation, held to what the code makes of them.

use std::fs;
use std::path::Path;

/// Checks that the page `docs/NAME` of the repository is what the code of `package` makes. With
/// `UPDATE_DOCS` set it writes the page first.
///
/// # Panics
///
/// Panics, with the command that helps, when the page is another one.
pub fn assert_page(name: &str, made: &str, package: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let written = fs::write(&path, made);
        written.unwrap_or_else(|error| panic!("can't write {}: {error}", path.display()));
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/{name} is out of date: run `UPDATE_DOCS=1 cargo test -p {package} reference`"
    );
}
