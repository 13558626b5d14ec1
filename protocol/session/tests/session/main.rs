//! A client and a server of the protocol against each other, over a network that exists only here.

mod credit;
mod frames;
mod heartbeat;
mod hello;
mod refusal;
mod resume;
mod support;
mod vectors;
