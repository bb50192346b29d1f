//! What each action does, by who does it.

mod bus;
mod faults;
mod feed;
mod read;
mod write;
