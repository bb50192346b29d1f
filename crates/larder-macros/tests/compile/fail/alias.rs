//! A failure behind a name that doesn't tell.
type Reply = Result<u64, String>;

#[larder::cached(fresh_for = "1h")]
fn price(product: u64) -> Reply {
    Ok(product)
}

fn main() {}
