//! An argument that is no key.
#[larder::cached(fresh_for = "1h")]
fn price(factor: f64) -> u64 {
    factor as u64
}

fn main() {}
