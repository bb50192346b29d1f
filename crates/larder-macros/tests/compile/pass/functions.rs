//! Functions of every shape, with every lint that warns turned into an error.
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, let_underscore_drop)]

/// A module, so that visibilities matter.
pub mod shop {
    use std::sync::Arc;

    /// What things cost.
    #[larder::cached(max_staleness = "2s", fresh_for = "1s", stale_for = "1s", missing_for = "1s")]
    pub async fn price(r#type: u64, mut amount: u32) -> Result<Option<u64>, larder::Error> {
        amount += 1;
        Ok(Some(r#type * u64::from(amount)))
    }

    /// The aliases of other crates.
    #[larder::cached(fresh_for = "1m 30s", jitter = "0s", skip(pool))]
    pub fn alias(id: &str, pool: Arc<str>) -> larder::Result<Option<String>> {
        if id.is_empty() {
            return Ok(None);
        }
        Ok(Some(format!("{id}{pool}")))
    }

    /// Nothing in, and the words that the expansion uses itself.
    #[larder::cached(fresh_for = "1h")]
    pub fn nothing() -> u8 {
        1
    }

    /// An argument may be there for the key alone.
    #[larder::cached(fresh_for = "1h", key = "format!(\"{id}{language}\")")]
    pub fn keyed(id: u64, language: &str) -> u64 {
        id
    }

    /// Arguments may have any name.
    #[larder::cached(fresh_for = "1h")]
    pub async fn names(key: u8, cache: u8, loaded: u8, value: u8) -> Option<u8> {
        Some(key + cache + loaded + value)
    }

    /// A local alias shadows the prelude's names.
    #[allow(non_camel_case_types, dead_code, unused_qualifications)]
    pub mod shadows {
        type Ok = u8;
        type Some = u8;
        struct Option;
        struct Box;
        struct Clone;

        /// Still works.
        #[larder::cached(fresh_for = "1h", load_timeout = "5s", deadline = "5s")]
        pub fn shadowed(key: std::string::String) -> std::result::Result<u8, larder::Error> {
            std::result::Result::Ok(key.len() as Ok)
        }
    }
}

fn main() {
    assert_eq!((shop::nothing(), shop::keyed(1, "de")), (1, 1));
    assert_eq!(shop::alias("a", "b".into()).unwrap().as_deref(), Some("ab"));
    assert_eq!(shop::shadows::shadowed("abc".to_owned()).unwrap(), 3);
    drop((shop::price(1, 2), shop::names(1, 2, 3, 4)));
}
