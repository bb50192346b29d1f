//! The one place of the configuration that touches a file and the environment.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Config, Problem, Problems};

/// The largest file that is read, in bytes. A larger one is refused: it is no configuration.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads the configuration at `path`, with this process's environment. A variable that isn't
/// UTF-8 counts as not set.
///
/// # Errors
///
/// Everything that is wrong with it; the file not being readable is one problem.
pub fn read(path: &Path) -> Result<Config, Problems> {
    let file_name = path.display().to_string();
    let text = text(path).map_err(|(what, cure)| Problems {
        errors: vec![Problem {
            file_name: file_name.clone(),
            places: Vec::new(),
            what,
            cure: cure.to_owned(),
        }],
        warnings: Vec::new(),
        errors_left_out: 0,
    })?;
    Config::parse(&text, &file_name, &|name| std::env::var(name).ok())
}

/// The file's text, or what is wrong and what to do.
fn text(path: &Path) -> Result<String, (String, &'static str)> {
    let unreadable = |error: std::io::Error| {
        (format!("can't be read: {error}"), "give the path of a file that larder may read")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err((what, "give the path of a configuration"));
    }
    String::from_utf8(bytes)
        .map_err(|_| ("is not UTF-8".to_owned(), "save it as UTF-8, as TOML asks"))
}

#[cfg(test)]
mod tests {
    use super::{FILE_BYTES_MAX, read};

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("larder.toml");
        let problem = |path| read(path).unwrap_err().to_string();
        assert!(problem(&path).contains("larder.toml: can't be read"));

        let mut text = "[memory]\n#".to_owned();
        text.push_str(&" ".repeat(FILE_BYTES_MAX as usize - text.len()));
        std::fs::write(&path, &text).unwrap();
        assert!(read(&path).is_ok());
        text.push(' ');
        std::fs::write(&path, &text).unwrap();
        assert!(problem(&path).contains("larger than 1048576 bytes"));

        std::fs::write(&path, b"a = \"\xff\"").unwrap();
        assert!(problem(&path).contains("is not UTF-8"));
    }
}
