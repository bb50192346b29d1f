//! The macros of larder: [`macro@cached`] puts a function behind a cache of its own, and
//! [`macro@CacheKey`] derives the key of a cache.
//!
//! Use them through the façade, which re-exports both: what they expand to names `::larder`. They
//! read tokens and write tokens; what a window, a key or a load is, they don't know.

mod derive;
mod expand;
mod nearest;
mod options;
mod outcome;
mod parameters;
mod window;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Puts a function behind a cache of its own: a call with arguments that were asked before is
/// answered from memory, within the window that you name, and callers that miss at once run the
/// body once.
///
/// ```
/// #[larder::cached(max_staleness = "2s")]
/// async fn price(product: u64) -> Result<Option<u32>, larder::Error> {
///     Ok((product < 100).then_some(700)) // ask your database here
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> larder::Result<()> {
/// assert_eq!(price(7).await?, Some(700)); // runs the body
/// assert_eq!(price(7).await?, Some(700)); // doesn't
/// price_cache().invalidate(&7).await?; // after a commit
/// assert_eq!(price_cache().stats().misses, 1);
/// # Ok(()) }
/// ```
///
/// Synchronous functions are cached in the same way:
///
/// ```
/// use std::sync::Arc;
///
/// #[larder::cached(fresh_for = "1h", entries_max = 100, skip(fonts))]
/// fn width(text: &str, fonts: Arc<Vec<u8>>) -> usize {
///     text.len() * fonts.len() // a long computation
/// }
///
/// assert_eq!(width("larder", Arc::new(vec![1, 2])), 12);
/// ```
///
/// # Options
///
/// `max_staleness` or `fresh_for` must be given: how stale may an answer be? Durations are
/// written as `"2s"` or `"1h 30m"`.
///
/// | option | meaning | default |
/// |---|---|---|
/// | `max_staleness` | no answer is older when the call begins | `fresh_for` and `stale_for` |
/// | `fresh_for` | how long a value is served as it is | `max_staleness` |
/// | `stale_for` | how much longer it is served while one refresh runs | `"0s"` |
/// | `missing_for` | how long `None` is remembered | `"30s"`, at most `max_staleness` |
/// | `jitter` | what chance may take from `fresh_for` | a tenth, at most `"60s"` |
/// | `entries_max` | how many values are held | 10,000 |
/// | `bytes_max` | how many bytes they take, as far as `weigher` tells | 64 MiB |
/// | `weigher` | a `fn(&K, Option<&V>) -> usize`: what both take on the heap | nothing |
/// | `loads_max` | how many bodies run at once, for different keys | 16 |
/// | `deadline` | how long a caller waits | `"10s"`; see below |
/// | `load_timeout` | how long a body may take | `"10s"`; see below |
/// | `name` | what the cache is called in errors and statistics | the function's name |
/// | `key` | an expression over the arguments that gives the key | the arguments |
/// | `key_type` | the type of that expression | `String` |
/// | `skip(a, b)` | arguments that are not part of the key | none |
///
/// # The key
///
/// The key is made of the arguments that aren't skipped: the argument itself if there is one, a
/// tuple of them in their order if there are several, `()` if there is none. A reference becomes
/// what it borrows, owned: `&str` a `String`, `&T` a `T`. For anything else, say it:
///
/// ```
/// struct Request {
///     user: u64,
///     language: String,
/// }
/// # impl Clone for Request {
/// #     fn clone(&self) -> Self {
/// #         Self { user: self.user, language: self.language.clone() }
/// #     }
/// # }
///
/// #[larder::cached(fresh_for = "1m", key = "request.user", key_type = "u64")]
/// fn name(request: &Request) -> String {
///     format!("user {}", request.user)
/// }
///
/// #[larder::cached(fresh_for = "1m", key = r#"format!("{}:{}", request.user, request.language)"#)]
/// fn greeting(request: &Request) -> String {
///     format!("{} {}", request.language, request.user)
/// }
/// # let request = Request { user: 7, language: "de".to_owned() };
/// # assert_eq!((name(&request), greeting(&request)), ("user 7".to_owned(), "de 7".to_owned()));
/// # assert!(name_cache().peek(&7).is_some());
/// # assert!(greeting_cache().peek(&"7:de".to_owned()).is_some());
/// ```
///
/// Two calls of one key get one value, so leave nothing out that the value depends on. A key
/// whose text is no valid one (longer than 1,024 bytes, or with control characters) is not
/// cached: the body runs, each time.
///
/// # What is remembered
///
/// | the function returns | remembered | not remembered |
/// |---|---|---|
/// | `V` | the value | |
/// | `Option<V>` | the value, and `None` for `missing_for` | |
/// | `Result<V, E>` | `Ok` | `Err` |
/// | `Result<Option<V>, E>` | `Ok(Some)`, and `Ok(None)` for `missing_for` | `Err` |
///
/// The result is handed to many callers, so `V` is cloned: put what is large into an `Arc`.
///
/// # Errors
///
/// Everyone who waits for one run of the body gets the error that it failed with: the same `E` if
/// `E` is `Clone`, otherwise `E::from(larder::Error)`, in which `downcast_ref::<E>()` finds it if
/// it is a `std::error::Error`. The cache has errors of its own (`Timeout`, `Shed`, a body that
/// panicked), so `E` must be `From<larder::Error>`; `String` will do as well, and gets the text.
///
/// A function that returns a plain `V` or an `Option<V>` can't fail. Where the cache has no answer
/// for it, the body runs in the caller, uncached, and if it panics it does so there. Because that
/// costs a second run, such functions wait longer: `load_timeout` is `"60s"` if it isn't given,
/// and `deadline` is as long.
///
/// # Where the body runs
///
/// Not in the caller, but on a small runtime of larder that is started with the first call and
/// lives as long as the program: a caller that goes away takes nobody with it, and what is cached
/// outlives the runtime that asked for it. Therefore
///
/// - arguments that the body gets are `Clone`, `Send` and `'static`; a reference is cloned into an
///   owned value that the body borrows;
/// - the body of an async function must not block (two threads poll all of them), and sees that
///   runtime as the current one: what it spawns, runs there;
/// - the body of a synchronous function runs on a thread where it may block, and goes on there
///   after its `load_timeout`; it can't be stopped. 512 run at once, of all functions;
/// - task-locals, thread-locals and tracing's current span are not those of the caller.
///
/// A synchronous function blocks its thread while it waits, wherever it is called. That is safe in
/// async code too, on runtimes of one thread and of many, but nothing else runs on that thread
/// meanwhile, and a body that waits for a task of that thread waits until its deadline.
///
/// A function may call itself. Inner calls run in place, inside the outer ones: they use and fill
/// the cache, but don't join each other. An async one must do so through a function that returns
/// a boxed future. A task or a thread that the body starts is outside of it: a body that waits
/// for one which calls the same function may wait until its `load_timeout`.
///
/// # The cache itself
///
/// For a function `price` the attribute also makes `fn price_cache() -> &'static larder::Cache<K,
/// V>`, as visible as the function: for `invalidate` (`invalidate_here` in synchronous code),
/// `mark_stale`, `peek` and `stats`. It has no source, so its `get` doesn't load; the function
/// does.
///
/// # What is refused
///
/// Methods with `self`, generic functions, `&mut` and `impl Trait` arguments, borrowed results:
/// the compiler says what to do instead. Write a function of what the value depends on, and call
/// it from the method.
///
/// # Panics
///
/// The first call of all panics if the operating system has no threads left for the runtime.
///
/// # Cancel safety
///
/// Dropping the future of an async function leaves the body running; its result is kept.
#[proc_macro_attribute]
pub fn cached(options: TokenStream, item: TokenStream) -> TokenStream {
    let as_written = item.clone();
    let expanded = syn::parse(options)
        .and_then(|options| Ok((options, syn::parse(item)?)))
        .and_then(|(options, function)| expand::expand(&options, &function));
    match expanded {
        Ok(expanded) => expanded.into(),
        // The function stays, or the compiler would complain of each of its callers as well.
        Err(error) => {
            [TokenStream::from(error.into_compile_error()), as_written].into_iter().collect()
        }
    }
}

/// Derives `CacheKey` for structs with fields and for enums.
///
/// The text of a struct is its fields in their order, with `:` between them; a `:` or a `\` in a
/// field is escaped with a `\`, as in tuples. The text of an enum is the name of the variant, and
/// its fields after that. `parse` is the exact inverse: one key has one spelling.
///
/// ```
/// use larder::{CacheKey, KeyText};
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
/// enum Kind {
///     Invoice,
///     Receipt { year: u16 },
/// }
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, CacheKey)]
/// struct Document {
///     tenant: String,
///     kind: Kind,
///     number: u64,
/// }
///
/// let key = Document { tenant: "a:b".to_owned(), kind: Kind::Receipt { year: 2026 }, number: 7 };
/// let text = KeyText::of(&key).unwrap();
/// assert_eq!(text, r"a\:b:Receipt\:2026:7");
/// assert_eq!(Document::parse(&text), Some(key));
/// assert_eq!(Document::parse("a:Invoice:07"), None);
/// ```
#[proc_macro_derive(CacheKey)]
pub fn cache_key(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as syn::DeriveInput);
    derive::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
