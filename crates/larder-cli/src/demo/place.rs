//! Where the shop lies: in a temporary folder that goes with the demo, or in one to keep.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

use super::fault::Fault;
use super::query::{BESTSELLERS, PRODUCT, Query};

/// The folder of the shop. Dropping it removes what must not stay: a temporary shop, or an
/// unfinished one.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    stay: Stay,
}

#[derive(Debug)]
enum Stay {
    Temporary {
        _folder: TempDir,
    },
    /// To keep, once it is finished.
    Unfinished([TempPath; 2]),
    Kept,
}

impl Place {
    /// A temporary folder.
    pub(super) fn temporary() -> Result<Self, Fault> {
        let made = tempfile::Builder::new().prefix("larder-demo-").tempdir();
        let folder = made.map_err(|error| Fault::because("make a temporary folder", error))?;
        Ok(Self { folder: folder.path().to_owned(), stay: Stay::Temporary { _folder: folder } })
    }

    /// A folder to keep, which is made if there is none.
    ///
    /// # Errors
    ///
    /// It holds something already: nothing of somebody else's is ever overwritten.
    pub(super) fn kept(folder: &Path) -> Result<Self, Fault> {
        let shown = folder.display();
        let fault = |error| Fault::because(format_args!("make the folder {shown}"), error);
        fs::create_dir_all(folder).map_err(fault)?;
        let folder = fs::canonicalize(folder).map_err(fault)?;
        if fs::read_dir(&folder).map_err(fault)?.next().is_some() {
            let what = format!(
                "the folder {shown} is not empty: name a new one after --keep, or empty it"
            );
            return Err(Fault::Other(what));
        }
        let files = [shop_in(&folder), config_in(&folder)];
        let [shop, config] = files.map(TempPath::try_from_path);
        let unfinished = [shop.map_err(fault)?, config.map_err(fault)?];
        Ok(Self { folder, stay: Stay::Unfinished(unfinished) })
    }

    /// The database's file.
    pub(super) fn shop(&self) -> PathBuf {
        shop_in(&self.folder)
    }

    /// The database's URL.
    ///
    /// # Errors
    ///
    /// The folder's name is not UTF-8, as a URL must be.
    pub(super) fn url(&self) -> Result<String, Fault> {
        let shop = self.shop();
        let Some(path) = shop.to_str() else {
            let what = format!("the folder {} needs a name in UTF-8", self.folder.display());
            return Err(Fault::Other(what));
        };
        let mut url = "sqlite://".to_owned();
        for &byte in path.as_bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        Ok(url)
    }

    /// Says that the shop is finished. One to keep gets its `larder.toml` and stays from now on.
    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        let Stay::Unfinished(_) = self.stay else { return Ok(()) };
        let config = config_in(&self.folder);
        fs::write(&config, configuration(&self.url()?))
            .map_err(|error| Fault::because(format_args!("write {}", config.display()), error))?;
        if let Stay::Unfinished(files) = std::mem::replace(&mut self.stay, Stay::Kept) {
            for file in files {
                file.keep().map_err(|error| Fault::because("keep the shop", error))?;
            }
        }
        Ok(())
    }
}

fn shop_in(folder: &Path) -> PathBuf {
    folder.join("shop.db")
}

fn config_in(folder: &Path) -> PathBuf {
    folder.join("larder.toml")
}

/// A configuration over the shop at `url`.
fn configuration(url: &str) -> String {
    let mut text = format!(
        "# A shop in SQLite, read through larder. `larder check` says what this promises,\n\
         # `larder serve` runs it, and then any Redis client reads it:\n\
         #\n\
         #     redis-cli -p 7379 GET product:42\n\
         #     redis-cli -p 7379 GET bestsellers:7\n\
         \n\
         [listen]\n\
         resp = \"127.0.0.1:7379\"\n\
         admin = \"127.0.0.1:7381\"\n\
         \n\
         [source.shop]\n\
         url = \"{url}\"\n"
    );
    for Query { name, key, sql, rows, .. } in [&PRODUCT, &BESTSELLERS] {
        text.push_str(&format!("\n[cache.{name}]\nkey = \"{key}\"\nload = \"\"\"\n{sql}\"\"\"\n"));
        if *rows == larder_sql::Rows::Many {
            text.push_str("rows = \"many\"\n");
        }
        text.push_str("max_staleness = \"2s\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_goes_with_its_shop() {
        let mut place = Place::temporary().unwrap();
        fs::write(place.shop(), "rows").unwrap();
        place.finish().unwrap();
        let folder = place.shop().parent().unwrap().to_owned();
        assert!(folder.exists());
        drop(place);
        assert!(!folder.exists());
    }

    #[test]
    fn an_unfinished_shop_does_not_stay_and_a_finished_one_does() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("a/new");
        let place = Place::kept(&folder).unwrap();
        fs::write(place.shop(), "half the rows").unwrap();
        drop(place);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

        let mut place = Place::kept(&folder).unwrap();
        fs::write(place.shop(), "rows").unwrap();
        place.finish().unwrap();
        drop(place);
        assert_eq!(fs::read(folder.join("shop.db")).unwrap(), b"rows");
        assert!(folder.join("larder.toml").exists());
    }

    #[test]
    fn a_folder_in_use_is_refused_and_left_as_it_is() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("shop.db"), "precious").unwrap();
        let fault = Place::kept(folder.path()).unwrap_err().to_string();
        assert!(fault.contains("is not empty: name a new one after --keep"), "{fault}");
        assert_eq!(fs::read(folder.path().join("shop.db")).unwrap(), b"precious");

        let fault = Place::kept(&folder.path().join("shop.db")).unwrap_err().to_string();
        assert!(fault.contains("can't make the folder"), "{fault}");
    }
}
