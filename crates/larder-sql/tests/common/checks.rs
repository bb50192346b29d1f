//! Tests made of checks, which are the same for all databases.

#![allow(unused_imports, unused_macros, reason = "some test programs have none")]

/// One test for each check of a module, each with a subject of its own.
macro_rules! checks {
    ($module:ident on $subject:expr; $($check:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $check() {
            $module::$check(&$subject).await;
        }
    )+};
}
pub(crate) use checks;
