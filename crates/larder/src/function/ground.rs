//! What the caches of functions stand on: one engine with two threads of its own.
//!
//! A function's cache lives as long as the program, and no runtime of the program does for
//! certain: every test has one, and a synchronous program has none. So bodies run on threads that
//! are started with the first call and never stopped. Callers may be on any thread and under any
//! executor.

use std::sync::OnceLock;

use larder_engine::Engine;

/// The threads that poll the bodies of async functions. Bodies of synchronous ones get threads of
/// their own, as many as tokio gives to blocking work: 512 at a time, of all functions together.
/// More wait for one, within their load timeout.
const THREADS: usize = 2;

static ENGINE: OnceLock<Engine> = OnceLock::new();

/// The engine of all functions.
pub(super) fn engine() -> &'static Engine {
    ENGINE.get_or_init(|| {
        Engine::on_threads(THREADS).expect("the operating system gives a program two more threads")
    })
}
