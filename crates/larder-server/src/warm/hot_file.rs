//! The file of a cache's hottest keys, from one run to the next.
//!
//! ```text
//! larder-hot-keys 1 user:{id:int}
//! user:42
//! user:7
//! ```
//!
//! The first line has the template, so that keys of another shape are never taken for these. A
//! file is written beside the old one, and takes its name when it is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use larder_core::{Key, KeyTemplate};

use super::lines;

/// The longest first line that is looked at.
const HEADER_BYTES_MAX: u64 = 64 << 10;

fn header(template: &KeyTemplate) -> String {
    format!("larder-hot-keys 1 {}\n", template.text())
}

/// The first `max` keys in the file, if they are of this template.
pub(super) fn read(path: &Path, template: &KeyTemplate, max: usize) -> io::Result<Vec<Key>> {
    let mut file = BufReader::new(File::open(path)?);
    let mut first = Vec::new();
    file.by_ref().take(HEADER_BYTES_MAX).read_until(b'\n', &mut first)?;
    if first != header(template).as_bytes() {
        let what = "it holds no keys of this cache, or those of another `key`";
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    let mut keys = Vec::new();
    lines::keys(file, template, |key| {
        keys.push(key);
        keys.len() < max
    })?;
    Ok(keys)
}

/// Writes a file of these keys, in place of what was there.
pub(super) fn write(path: &Path, template: &KeyTemplate, keys: &[Key]) -> io::Result<()> {
    let mut beside = OsString::from(path);
    beside.push(".new");
    let mut file = BufWriter::new(File::create(&beside)?);
    file.write_all(header(template).as_bytes())?;
    for key in keys {
        file.write_all(key.as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> KeyTemplate {
        KeyTemplate::parse(text).unwrap()
    }

    #[test]
    fn what_was_written_is_read_in_its_order_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user");
        let users = template("user:{id:int}");
        let keys = ["user:9", "user:1", "user:5"].map(Key::from);
        write(&path, &users, &[Key::from("user:3")]).unwrap();
        write(&path, &users, &keys).unwrap();
        assert_eq!(read(&path, &users, 100).unwrap(), keys);
        assert_eq!(read(&path, &users, 2).unwrap(), keys[..2]);
        // Nothing is left beside it.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn keys_of_another_template_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user");
        write(&path, &template("user:{id:int}"), &[Key::from("user:9")]).unwrap();
        let refused = |template: &KeyTemplate| read(&path, template, 9).unwrap_err().kind();
        assert_eq!(refused(&template("user:{id:text}")), ErrorKind::InvalidData);
        for text in ["", "larder-hot-keys 1", "larder-hot-keys 2 user:{id:int}\nuser:9\n"] {
            fs::write(&path, text).unwrap();
            assert_eq!(refused(&template("user:{id:int}")), ErrorKind::InvalidData, "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(refused(&template("user:{id:int}")), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("user");
        let users = template("user:{id:int}");
        write(&path, &users, &[Key::from("user:9")]).unwrap();
        fs::create_dir(folder.path().join("user.new")).unwrap();
        assert!(write(&path, &users, &[Key::from("user:1")]).is_err());
        assert_eq!(read(&path, &users, 9).unwrap(), [Key::from("user:9")]);
    }
}
