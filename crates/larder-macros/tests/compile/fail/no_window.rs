//! The window isn't named.
#[larder::cached(entries_max = 10)]
fn price(product: u64) -> u64 {
    product
}

fn main() {
    // The caller isn't at fault.
    price(7);
}
