//! A body that can't move to another thread.
#[larder::cached(fresh_for = "1h")]
async fn price(product: u64) -> u64 {
    let local = std::rc::Rc::new(product);
    std::future::ready(()).await;
    *local
}

fn main() {}
