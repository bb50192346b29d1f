//! Functions that can't be cached.
struct Shop;

impl Shop {
    #[larder::cached(fresh_for = "1h")]
    fn method(&self, product: u64) -> u64 {
        product
    }
}

#[larder::cached(fresh_for = "1h")]
fn generic<T: Clone>(product: T) -> T {
    product
}

#[larder::cached(fresh_for = "1h")]
fn changing(product: &mut u64) -> u64 {
    *product
}

#[larder::cached(fresh_for = "1h")]
fn implementing(product: impl Into<u64>) -> u64 {
    product.into()
}

#[larder::cached(fresh_for = "1h")]
fn borrowing(names: Option<&str>) -> u64 {
    names.map_or(0, |name| name.len() as u64)
}

#[larder::cached(fresh_for = "1h", skip(log))]
fn dynamic(product: u64, log: &dyn Fn(u64)) -> u64 {
    log(product);
    product
}

#[larder::cached(fresh_for = "1h")]
async fn returning(name: &str) -> &str {
    name
}

#[larder::cached(fresh_for = "1h")]
fn opaque(product: u64) -> impl Sized {
    product
}

#[larder::cached(fresh_for = "1h")]
fn unnamed((product, amount): (u64, u64)) -> u64 {
    product * amount
}

#[larder::cached(fresh_for = "1h")]
fn nothing(_product: u64) {}

#[larder::cached(fresh_for = "1h")]
fn many(a: u8, b: u8, c: u8, d: u8, e: u8) -> u8 {
    a + b + c + d + e
}

#[larder::cached(fresh_for = "1h")]
struct NoFunction;

fn main() {}
