//! The keys that a cache is warmed with, from wherever they come, as one list.
//!
//! They are collected before the first is loaded, so that no cursor of a database stays open as
//! long as a warming takes; how many there are is bounded by `keys_max`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use larder_core::sync::Mutex;
use larder_core::{Error, Key, KeyList, KeyPages, KeyTemplate, LoadError};
use larder_sql::SqlKeys;

use super::{hot_file, keys_in};
use crate::config::WarmConfig;

/// Clones are the same list.
#[derive(Clone)]
pub(super) struct Lists(Arc<Inner>);

struct Inner {
    files: Files,
    query: Option<Arc<SqlKeys>>,
    /// What was collected to be counted, for the reading that follows.
    collected: Mutex<Option<Vec<Key>>>,
}

#[derive(Clone)]
struct Files {
    key: KeyTemplate,
    /// What other larders said.
    hot: Vec<Key>,
    last_run: Option<PathBuf>,
    log: Option<PathBuf>,
    keys_max: usize,
}

impl Lists {
    /// `hot` are keys that come before all others.
    pub(super) fn new(
        key: &KeyTemplate,
        hot: Vec<Key>,
        config: &WarmConfig,
        query: Option<Arc<SqlKeys>>,
    ) -> Self {
        let WarmConfig { last_run, log, keys_max, .. } = config.clone();
        let files = Files { key: key.clone(), hot, last_run, log, keys_max };
        Self(Arc::new(Inner { files, query, collected: Mutex::default() }))
    }

    /// All keys, each once.
    async fn collect(&self) -> Result<Vec<Key>, LoadError> {
        let Inner { files, query, .. } = &*self.0;
        let keys_max = files.keys_max;
        let files = files.clone();
        let mut keys = tokio::task::spawn_blocking(move || files.keys()).await?;
        if let Some(query) = query
            && keys.len() < keys_max
        {
            let mut known: HashSet<Key> = keys.iter().cloned().collect();
            let mut pages = query.pages();
            'all: loop {
                let page = pages.next(1024).await?;
                if page.is_empty() {
                    break;
                }
                for key in page {
                    if known.insert(key.clone()) {
                        keys.push(key);
                    }
                    if keys.len() == keys_max {
                        break 'all;
                    }
                }
            }
        }
        Ok(keys)
    }
}

impl Files {
    /// The keys that stand in files, each once. A file that can't be read is left out.
    fn keys(&self) -> Vec<Key> {
        let mut keys = self.hot.clone();
        if let Some(path) = &self.last_run {
            match hot_file::read(path, &self.key, self.keys_max) {
                Ok(read) => keys.extend(read),
                // Nothing was saved yet.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = %path.display(), "keys of the last run: {error}");
                }
            }
        }
        if let Some(path) = &self.log {
            let open = File::open(path).map(BufReader::new);
            match open.and_then(|file| keys_in(file, &self.key, self.keys_max)) {
                Ok(read) => keys.extend(read),
                Err(error) => tracing::warn!(file = %path.display(), "keys to warm: {error}"),
            }
        }
        let mut known = HashSet::new();
        keys.retain(|key| known.insert(key.clone()));
        keys.truncate(self.keys_max);
        keys
    }
}

impl KeyList<Key> for Lists {
    type Pages = ListPages;

    fn pages(&self) -> ListPages {
        ListPages { lists: self.clone(), keys: None }
    }

    async fn count(&self) -> Result<Option<u64>, LoadError> {
        let keys = self.collect().await?;
        let count = keys.len() as u64;
        *self.0.collected.lock() = Some(keys);
        Ok(Some(count))
    }
}

/// One reading.
pub(super) struct ListPages {
    lists: Lists,
    keys: Option<std::vec::IntoIter<Key>>,
}

impl KeyPages<Key> for ListPages {
    async fn next(&mut self, max: usize) -> Result<Vec<Key>, LoadError> {
        if self.keys.is_none() {
            let collected = self.lists.0.collected.lock().take();
            let keys = match collected {
                Some(keys) => keys,
                None => self.lists.collect().await.map_err(Error::from_loader)?,
            };
            self.keys = Some(keys.into_iter());
        }
        Ok(self.keys.iter_mut().flatten().take(max).collect())
    }
}
