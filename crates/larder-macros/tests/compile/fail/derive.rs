//! Types that are no keys.
use larder::CacheKey;

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Nothing;

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
enum Never {}

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Borrowed<'a> {
    name: &'a str,
}

#[derive(CacheKey)]
union Either {
    one: u8,
    other: i8,
}

fn main() {}
