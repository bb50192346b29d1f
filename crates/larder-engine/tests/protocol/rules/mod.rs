//! What each action does, by who does it.

mod bus;
mod faults;
mod feed;
mod hand_over;
mod read;
mod write;
