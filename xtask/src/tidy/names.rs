//! What a crate's code must not name: the text of what each part deliberately does not know.
//!
//! Only what is shipped counts; tests may name anything.

use super::Complaint;
use super::project::{File, Project};
use super::rust::{self, Kind, Named, Token};

/// Names that may stand in some places only.
struct Rule {
    names: &'static [&'static str],
    /// Where the rule holds: beginnings of paths.
    within: &'static [&'static str],
    /// Where it doesn't hold all the same.
    except: &'static [&'static str],
    /// Why, and what to do.
    remedy: &'static str,
}

const RULES: [Rule; 10] = [
    Rule {
        names: &["tokio", "sqlx", "redis", "hyper", "axum", "std::net", "std::fs"],
        within: &["crates/larder-core/src/"],
        except: &[],
        remedy: "the core knows no runtime, socket, driver or file; take what it gives as an \
                 argument or through a trait",
    },
    Rule {
        names: &["std::time", "Instant", "Mutex", "RwLock", "std::sync"],
        within: &["crates/larder-policy/src/"],
        except: &[],
        remedy: "a policy has no clock and no lock; its caller has",
    },
    Rule {
        names: &["Hash", "Hasher", "BuildHasher", "HashMap", "HashSet", "std::hash"],
        within: &["crates/larder-policy/src/"],
        except: &[],
        remedy: "a policy knows slots, not keys; hashes come in as numbers",
    },
    Rule {
        names: &["tokio"],
        within: &["crates/larder-engine/src/"],
        except: &["crates/larder-engine/src/runtime.rs"],
        remedy: "the engine names its runtime in one file; use crate::runtime",
    },
    Rule {
        names: &["std::io", "tokio", "std::time", "SystemTime", "Instant"],
        within: &["crates/larder-resp/src/codec"],
        except: &[],
        remedy: "the codec does no I/O and takes the time as an argument",
    },
    Rule {
        names: &["std::io", "std::net", "tokio", "hyper", "SystemTime", "Instant"],
        within: &["crates/larder-http/src/"],
        except: &[],
        remedy: "HTTP's semantics do no I/O and take the time as an argument",
    },
    Rule {
        names: &["std::env", "std::fs", "tokio::fs", "tokio::signal", "signal_hook"],
        within: &["crates/"],
        // SQLite is a file, and its driver looks whether it is there and still the same. A journal
        // is files. TLS reads certificates.
        except: &[
            "crates/larder-journal/src/files/disk.rs",
            "crates/larder-server/",
            "crates/larder-cli/",
            "crates/larder-crash/",
            "crates/larder-test/",
            "crates/larder-sql/src/sqlite.rs",
            "crates/larder-feed/src/postgres/tls/trust.rs",
            "crates/larder-feed/src/sqlite/file.rs",
        ],
        remedy: "only server and cli read files, environment and signals; take it as an argument",
    },
    Rule {
        names: &["Instant::now", "SystemTime::now"],
        within: &["crates/"],
        except: &[
            "crates/larder-engine/src/runtime.rs",
            // How long what was written waits for its sync; no answer depends on it.
            "crates/larder-journal/src/committer.rs",
            "crates/larder-server/",
            "crates/larder-cli/",
            "crates/larder-crash/",
            "crates/larder-test/",
            // A driver keeps its connections by the runtime's own clock, as its timers do; no
            // answer's age depends on it.
            "crates/larder-feed/src/debezium/kafka/",
            "crates/larder-feed/src/debezium/nats/",
            "crates/larder-feed/src/outbox/kept.rs",
            "crates/larder-feed/src/postgres/receiver.rs",
            "crates/larder-memcached/",
            "crates/larder-redis/",
            "crates/larder-sql/",
        ],
        remedy: "time is an argument or comes from a Clock, so that tests can turn it",
    },
    Rule {
        names: &[
            "std::sync::Mutex",
            "std::sync::RwLock",
            "std::sync::Condvar",
            "std::sync::atomic",
            "parking_lot",
        ],
        within: &[
            "crates/larder-engine/src/",
            "crates/larder-journal/src/",
            "crates/larder-memory/src/",
        ],
        // Where the memory tier chooses between them itself, and what all tiers of a process share.
        except: &[
            "crates/larder-memory/src/atomics.rs",
            "crates/larder-memory/src/fence.rs",
            "crates/larder-memory/src/hazard.rs",
        ],
        remedy: "take it from larder_core::sync, which a checker can exchange",
    },
    Rule {
        names: &["lazy_static", "once_cell"],
        within: &["crates/"],
        except: &[],
        remedy: "there is no global state: hand it down from where it is made",
    },
];

/// Who reads memory tiers is known to the process, and so are the barriers among its threads:
/// docs/decisions/0012-reads-without-a-lock.md. What a thread last knew of the time is its own:
/// docs/decisions/0016-a-hit-asks-a-coarse-clock.md. The cache of a function lives as long as the
/// function does, and what it runs on as long as the program.
const STATICS: [&str; 6] = [
    // What a test does at a step, and only compiled for tests.
    "crates/larder-core/src/steps.rs",
    "crates/larder-engine/src/recent.rs",
    "crates/larder-memory/src/fence.rs",
    "crates/larder-memory/src/hazard.rs",
    "crates/larder/src/function/ground.rs",
    "crates/larder/src/function/nested.rs",
];

/// Types whose contents change behind a shared reference.
const CHANGEABLE: [&str; 10] = [
    "Cell",
    "LazyCell",
    "LazyLock",
    "Mutex",
    "OnceCell",
    "OnceLock",
    "RefCell",
    "RwLock",
    "UnsafeCell",
    "Counter",
];

pub(super) fn check(project: &Project, complaints: &mut Vec<Complaint>) {
    for file in project.files.iter().filter(|file| file.is_rust()) {
        let tokens = rust::tokens(&file.text);
        check_unsafe(file, &tokens, complaints);
        if !file.path.contains("/src/") || is_test(&file.path) {
            continue;
        }
        let code = rust::shipped(&tokens);
        let names = rust::names(&code);
        for rule in RULES.iter().filter(|rule| rule.holds_in(&file.path)) {
            rule.check(file, &names, complaints);
        }
        if file.path.starts_with("crates/") && !STATICS.contains(&&*file.path) {
            check_statics(file, &code, complaints);
        }
    }
}

/// Whether a file of a crate's `src` is compiled for its tests only.
pub(super) fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/src/tests/") || path.contains("/tests/")
}

impl Rule {
    fn holds_in(&self, path: &str) -> bool {
        let starts = |beginnings: &[&str]| beginnings.iter().any(|start| path.starts_with(start));
        starts(self.within) && !starts(self.except)
    }

    fn check(&self, file: &File, names: &[Named], complaints: &mut Vec<Complaint>) {
        for named in names {
            if let Some(name) = self.names.iter().find(|name| named.contains(name)) {
                let wrong = format!("names {name}");
                complaints.push(Complaint::new(&file.path, named.line, wrong, self.remedy));
            }
        }
    }
}

fn check_unsafe(file: &File, tokens: &[Token<'_>], complaints: &mut Vec<Complaint>) {
    if file.path.starts_with("crates/larder-memory/") {
        return;
    }
    let words = tokens.iter().filter(|token| token.kind == Kind::Word);
    for token in words.filter(|token| token.text == "unsafe") {
        let remedy = "only larder-memory may, each block with its proof; find a safe way";
        complaints.push(Complaint::new(&file.path, token.line, "unsafe code", remedy));
    }
}

/// `static` items that can change: `static mut`, or of a type with insides that change.
fn check_statics(file: &File, code: &[Token<'_>], complaints: &mut Vec<Complaint>) {
    for (at, token) in code.iter().enumerate() {
        if token.kind != Kind::Word || token.text != "static" {
            continue;
        }
        let declaration =
            code[at + 1..].iter().take_while(|token| !matches!(token.text, "=" | ";"));
        let changeable = |word: &str| CHANGEABLE.contains(&word) || word.starts_with("Atomic");
        if declaration.into_iter().any(|token| token.text == "mut" || changeable(token.text)) {
            let remedy = "there is no global state: hand it down from where it is made";
            complaints.push(Complaint::new(
                &file.path,
                token.line,
                "a static that changes",
                remedy,
            ));
        }
    }
}
