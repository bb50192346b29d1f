//! Options that are misspelt, malformed, contradictory or given twice.
#[larder::cached(max_stalenes = "2s")]
fn misspelt(product: u64) -> u64 {
    product
}

#[larder::cached(ttl = 60)]
fn of_another_crate(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "1h", compression = "lz4")]
fn unknown(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "2 parsecs")]
fn no_duration(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = 60)]
fn no_unit(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "1h", fresh_for = "2h")]
fn twice(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "1h", max_staleness = "2s")]
fn contradictory(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "1h", deadline = "0s")]
fn no_time(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "1h", skip(pol))]
fn stranger(product: u64, pool: u64) -> u64 {
    product + pool
}

#[larder::cached(fresh_for = "1h", skip(pool), key = "product.to_string()")]
fn skip_and_key(product: u64, pool: u64) -> u64 {
    product + pool
}

#[larder::cached(fresh_for = "1h", key_type = "u64")]
fn type_of_nothing(product: u64) -> u64 {
    product
}

#[larder::cached(fresh_for = "1h", key = "product +")]
fn no_expression(product: u64) -> u64 {
    product
}

fn main() {}
