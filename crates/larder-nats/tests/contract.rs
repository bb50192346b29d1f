//! The contract of the bus, held against a real NATS.
#![allow(clippy::unwrap_used, reason = "a test may end where something is missing")]

use std::sync::Arc;

use larder_core::Bus;
use larder_nats::{NatsBus, NatsOptions};
use larder_test::Nats;
use larder_test::contract::check_bus;

#[tokio::test]
async fn nats_keeps_the_contract_of_a_bus() {
    let nats = Nats::start();
    let bus = || NatsBus::connect(NatsOptions::new(nats.url())).unwrap();
    check_bus(&[bus(), bus()].map(|bus| Arc::new(bus) as Arc<dyn Bus>)).await;
}
