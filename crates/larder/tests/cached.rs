//! Cached functions, as their callers see them.
//!
//! The cache of a function lives as long as the program, so every test has functions of its own.

mod cached {
    mod asynchronous;
    mod keys;
    mod nested;
    mod outcomes;
    mod support;
    mod synchronous;
}
