//! What the key of a function is made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::CacheKey;

#[test]
fn arguments_make_the_key_and_skipped_ones_do_not() {
    #[larder::cached(fresh_for = "1h", skip(runs))]
    fn text(a: u8, b: &str, c: &u16, d: char, runs: &Arc<AtomicUsize>) -> String {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        format!("{a}{b}{c}{d}{run}")
    }

    let runs = Arc::new(AtomicUsize::new(0));
    assert_eq!(text(1, "b", &3, 'd', &runs), "1b3d0");
    assert_eq!(text(1, "b", &3, 'd', &Arc::default()), "1b3d0");
    assert_eq!(text(1, "b", &4, 'd', &runs), "1b4d1");
    let key: (u8, String, u16, char) = (1, "b".to_owned(), 4, 'd');
    assert_eq!(text_cache().peek(&key).unwrap().value.as_deref(), Some("1b4d1"));
}

#[test]
fn an_expression_gives_the_key() {
    #[derive(Clone)]
    struct Request {
        user: u64,
        note: &'static str,
    }

    #[larder::cached(fresh_for = "1h", key = "request.user % 10", key_type = "u64")]
    fn note(request: &Request) -> &'static str {
        request.note
    }

    #[larder::cached(fresh_for = "1h", key = r#"format!("{}/{key}", request.user)"#)]
    fn note_of(request: &Request, mut label: String, key: u8) -> String {
        label.push_str(request.note);
        label
    }

    assert_eq!(note(&Request { user: 7, note: "a" }), "a");
    assert_eq!(note(&Request { user: 17, note: "b" }), "a");
    assert_eq!(note(&Request { user: 8, note: "c" }), "c");
    assert_eq!(note_of(&Request { user: 7, note: "a" }, "x".to_owned(), 1), "xa");
    assert_eq!(note_of(&Request { user: 7, note: "b" }, "y".to_owned(), 1), "xa");
    assert!(note_of_cache().peek(&"7/1".to_owned()).is_some());
}

#[test]
fn a_derived_key_is_an_argument_like_others() {
    #[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
    enum Unit {
        Metre,
        Foot,
    }

    #[larder::cached(fresh_for = "1h")]
    fn name(unit: &Unit) -> String {
        format!("{unit:?}")
    }

    assert_eq!((name(&Unit::Metre), name(&Unit::Foot)), ("Metre".to_owned(), "Foot".to_owned()));
    assert!(name_cache().peek(&Unit::Foot).is_some());
}

#[test]
fn borrowed_arguments_of_every_kind_reach_the_body() {
    #[larder::cached(fresh_for = "1h", key = "numbers.len() as u64", key_type = "u64")]
    fn total<'a>(numbers: &'a [u64], folder: &'a std::path::Path, unit: &'static str) -> String {
        let folder: PathBuf = folder.join(unit);
        let unit: &'static str = unit;
        format!("{}{unit}{}", numbers.iter().sum::<u64>(), folder.display())
    }

    assert_eq!(total(&[1, 2], std::path::Path::new("x"), "m"), "3mx/m");
}

#[tokio::test]
async fn a_key_without_valid_text_runs_the_body_uncached() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);

    #[larder::cached(fresh_for = "1h")]
    async fn length(text: &str) -> Result<usize, larder::Error> {
        RUNS.fetch_add(1, Ordering::SeqCst);
        Ok(text.len())
    }

    #[larder::cached(fresh_for = "1h")]
    fn lines(text: &str) -> usize {
        text.lines().count()
    }

    #[larder::cached(fresh_for = "1h", key = "text.to_owned()")]
    fn repeated(text: &str, times: u8) -> u64 {
        if times == 0 { 0 } else { 1 + repeated(&"\n".repeat(usize::from(times)), times - 1) }
    }

    let long = "x".repeat(2000);
    assert_eq!(length(&long).await.unwrap(), 2000);
    assert_eq!(length(&long).await.unwrap(), 2000);
    assert_eq!(RUNS.load(Ordering::SeqCst), 2);
    assert_eq!(lines("a\nb"), 2);
    // Inside a body as well: what can't be named can't be invalidated.
    assert_eq!(repeated("", 3), 3);
    assert!(repeated_cache().peek(&String::new()).is_some());
    assert!(repeated_cache().peek(&"\n".repeat(3)).is_none());
}

#[test]
fn a_weigher_tells_what_a_value_takes() {
    #[larder::cached(
        fresh_for = "1h",
        bytes_max = 4096,
        weigher = "|_, value| value.map_or(0, Vec::len)"
    )]
    fn bytes(length: usize) -> Vec<u8> {
        vec![0; length]
    }

    assert_eq!((bytes(10).len(), bytes(100_000).len()), (10, 100_000));
    assert!(bytes_cache().peek(&10).is_some());
    assert!(bytes_cache().peek(&100_000).is_none(), "heavier than all that may be held");
}
