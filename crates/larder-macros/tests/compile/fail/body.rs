//! An error in the body is at its own line.
#[larder::cached(fresh_for = "1h")]
fn wrong(product: u64) -> u64 {
    let text: String = product;
    text.len()
}

#[larder::cached(fresh_for = "1h")]
async fn wrong_too(product: u64) -> Result<u64, larder::Error> {
    Ok(unknown(product)?)
}

fn main() {}
