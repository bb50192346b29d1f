//! An expression of another type than was said.
#[larder::cached(fresh_for = "1h", key = "product + 1")]
fn price(product: u64) -> u64 {
    product
}

fn main() {}
