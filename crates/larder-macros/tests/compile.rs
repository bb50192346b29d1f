//! What the compiler says of the macros: nothing where they are used as they should be, and
//! otherwise what to do, at the user's own line.
//!
//! They stand here and not with the facade, because each is compiled with everything that the
//! tests of its crate need.

#[test]
fn what_is_right_compiles_without_a_warning() {
    trybuild::TestCases::new().pass("tests/compile/pass/*.rs");
}

#[test]
fn what_is_wrong_is_refused_where_it_stands() {
    trybuild::TestCases::new().compile_fail("tests/compile/fail/*.rs");
}
