//! Database folders made once and copied afterwards: a copy takes a tenth of the time.
//!
//! Templates stand beside the test's own binary, in the build's output. Two tests that make the
//! same one at the same time both succeed: it is put in place by renaming, and the later one is
//! thrown away.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Fills `target` from the template `name`, or by `make`, which becomes the template.
pub(super) fn copy_or_make(name: &str, target: &Path, make: impl FnOnce()) {
    let home = std::env::current_exe().ok();
    let home = home.as_deref().and_then(Path::parent).map(|folder| folder.join("larder-test"));
    let Some(home) = home else { return make() };
    let template = home.join(name);
    if template.is_dir() {
        copy(&template, target);
        return;
    }
    make();
    // Without a template everything works, only slower, so failing to leave one is no error.
    let _ = fs::create_dir_all(&home).and_then(|()| keep(target, &home, &template));
}

fn keep(made: &Path, home: &Path, template: &Path) -> std::io::Result<()> {
    let draft = tempfile::Builder::new().prefix("draft-").tempdir_in(home)?;
    let inside = draft.path().join("copy");
    copy(made, &inside);
    fs::rename(inside, template)
}

/// Copies a folder with its owners and modes.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "{} couldn't be copied to {}: {status:?}",
        from.display(),
        to.display()
    );
}
