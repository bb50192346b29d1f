//! An error that can't hold the cache's own.
#[derive(Clone)]
struct ShopError;

#[larder::cached(fresh_for = "1h")]
fn price(product: u64) -> Result<u64, ShopError> {
    Ok(product)
}

fn main() {}
