mod api;
mod connections;
mod harness;
mod hosts;
mod metrics;
mod openapi;
mod permissions;
mod refusals;
