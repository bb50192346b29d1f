//! A field that is no key.
use larder::CacheKey;

#[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
struct Numbers {
    id: u64,
    all: Vec<u64>,
}

fn main() {}
