//! The server as its users meet it: the real binary, real HTTP, on ports of its own.

mod listeners;
mod support;
mod wire;

mod cloudevents;
mod compression;
mod decisions;
mod events;
mod formats;
mod limits;
mod problems;
mod real_history;
mod requests;
