//! The examples: each is run, those with a server over real HTTP, and the pages of the
//! documentation show the code that is run.
#![allow(clippy::unwrap_used)]

mod files;
mod http;
mod http_cache;
mod next_steps;
mod pages;
mod shared_tier;
mod start;

/// The examples that check themselves.
macro_rules! runs {
    ($($name:ident)*) => {
        mod runs {
            $(
                #[tokio::test]
                async fn $name() {
                    super::files::$name::run().await.unwrap();
                }
            )*
        }

        const RUNS: &[&str] = &[$(stringify!($name)),*];
    };
}

runs! {
    absence api_responses batching breaker budget early_refresh entity_cache functions keys overload
    patience penetration sessions
    sql_source stampede tags tickets verdict warming windows
    write_behind write_through
}

/// Those that serve HTTP or need a server have tests of their own, in a file of the same name.
const SERVERS: &[&str] = &["http_cache", "next_steps", "shared_tier", "start"];

#[test]
fn no_example_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let files = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    let mut known: Vec<_> = RUNS
        .iter()
        .chain(SERVERS)
        .map(|name| std::ffi::OsString::from(format!("{name}.rs")))
        .collect();
    files.sort_unstable();
    known.sort_unstable();
    assert_eq!(files, known);
}
