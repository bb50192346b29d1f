//! Any text, long ones and deep ones; what a right one means is tested with the databases.

use proptest::prelude::*;

use super::*;

const DIALECTS: [Dialect; 3] = [Dialect::Postgres, Dialect::Sqlite, Dialect::Mysql];

async fn read(sql: &str, dialect: Dialect) -> Result<Vec<Equality>, String> {
    equalities(sql.to_owned(), dialect).await
}

#[tokio::test]
async fn what_is_too_long_or_too_deep_is_refused() {
    for dialect in DIALECTS {
        for joint in [" + 1", " AND b", " OR NOT b", " = b", " UNION SELECT 1", "||1"] {
            let long = |count| format!("SELECT 1 FROM t WHERE a = b {}", joint.repeat(count));
            // As deep as a tree can be, and it is walked through.
            let longest = super::super::parse::TOKENS_MAX - 8;
            let done =
                read(&long(longest / joint.split_whitespace().count().max(2)), dialect).await;
            let refused = done.err().unwrap_or_default();
            assert!(!refused.contains("words and signs"), "{joint}: {refused}");
            let refused = read(&long(longest), dialect).await.unwrap_err();
            assert!(refused.contains("words and signs"), "{joint}: {refused}");
        }
        let deep = format!("SELECT 1 FROM t WHERE {}a{}", "(".repeat(999), ")".repeat(999));
        let refused = read(&deep, dialect).await.unwrap_err();
        assert!(refused.contains("can't be read here"), "{refused}");
    }
}

#[tokio::test]
async fn what_panics_is_an_error() {
    let refused = aside(|| -> Result<(), String> { panic!("as the parser might") }).await;
    assert!(refused.unwrap_err().contains("than the parser can read"));
}

/// Pieces of queries in any order.
fn soup() -> impl Strategy<Value = String> {
    let words = "SELECT FROM WHERE a t = $1 ?1 ( ) AND OR NOT , . * UNION WITH x AS GROUP BY ORDER \
                 LIMIT 1 'x' \"q\" `b` [c] || :: -> @x CASE WHEN THEN END IN EXISTS BETWEEN LIKE IS \
                 NULL CAST INTERVAL DATE JOIN ON VALUES TABLE FOR UPDATE OVER FILTER ARRAY ; -- /* \
                 */ # \\ $$ E'\\' ü 🦀 { } ! ~ % ^ & | < > 0x 1e9 .5 EXTRACT POSITION JSON_TABLE";
    let words: Vec<_> = words.split_whitespace().collect();
    let word =
        prop_oneof![9 => prop::sample::select(words).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn nothing_panics(text in soup(), begun in any::<bool>()) {
        let text = if begun { format!("SELECT a FROM t WHERE a = ?1 AND {text}") } else { text };
        for dialect in DIALECTS {
            if let Ok(query) = parse(&text, dialect) {
                let _ = equalities_of(&query, dialect);
            }
        }
    }
}
