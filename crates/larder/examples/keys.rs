//! Keys of your own: one value, one text, and a version of what is cached in it.

use std::time::Duration;

use larder::engine::MemoryTier;
use larder::{Cache, CacheKey, ErrorKind, KeyText};

/// Which page of which shelf, in which language.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shelf {
    name: String,
    page: u32,
    language: Language,
}

/// A closed set instead of whatever the header said: twelve spellings of German are one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Language {
    De,
    En,
}

impl Language {
    fn of_header(accept_language: &str) -> Self {
        let first = accept_language.trim_start().get(..2).unwrap_or_default();
        if first.eq_ignore_ascii_case("de") { Self::De } else { Self::En }
    }
}

/// What a page looks like changed once; pages of the old kind have other keys.
const VERSION: &str = "v2";

impl CacheKey for Shelf {
    fn write(&self, text: &mut KeyText) {
        let language = match self.language {
            Language::De => "de",
            Language::En => "en",
        };
        text.push_str(VERSION);
        text.push_str(":");
        (language.to_owned(), self.page, self.name.clone()).write(text);
    }

    fn parse(text: &str) -> Option<Self> {
        let parts = text.strip_prefix(VERSION)?.strip_prefix(':')?;
        let (language, page, name) = <(String, u32, String)>::parse(parts)?;
        let language = match language.as_str() {
            "de" => Language::De,
            "en" => Language::En,
            _ => return None,
        };
        Some(Self { name, page, language })
    }
}

/// What an entry of these types takes in memory, beside what its key and value have on the heap.
fn entry_bytes<K, V>() -> usize {
    MemoryTier::<K, V>::ENTRY_OVERHEAD
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> larder::Result<()> {
    run().await
}

pub(crate) async fn run() -> larder::Result<()> {
    let shelf = |name: &str, language| Shelf { name: name.to_owned(), page: 1, language };
    let wine = shelf("wine: red", Language::De);
    let text = KeyText::of(&wine).expect("it is short and has no control characters");
    assert_eq!(Shelf::parse(&text).as_ref(), Some(&wine));
    assert_eq!(text, r"v2:de:1:wine\: red");

    let pages: Cache<Shelf, String> =
        Cache::builder("shelf").max_staleness(Duration::from_secs(60)).build()?;
    for header in ["de-DE,de;q=0.9", "DE", "de-AT"] {
        let key = shelf("wine: red", Language::of_header(header));
        pages.get_or_load(&key, |_| async { Ok(Some("a page".to_owned())) }).await?;
    }
    assert_eq!(pages.stats().loads.count(), 1);

    // A key that no text can name is refused before anybody is asked.
    let bad = shelf("wine\n", Language::En);
    let error =
        pages.get_or_load(&bad, |_| async { Ok(None) }).await.expect_err("no text can name it");
    assert_eq!(error.kind(), ErrorKind::BadKey);
    assert!((100..200).contains(&entry_bytes::<u64, u64>()));
    println!("an entry takes {} bytes", entry_bytes::<u64, u64>());
    Ok(())
}
