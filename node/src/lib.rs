//! What turns the state machines of `vaquita-core` into server processes, and the program that
//! starts and operates them.
//!
//! [`mod@env`] is the only door to the outside: sockets, disk, processes, clocks, entropy. [`driver`]
//! runs a machine behind that door, [`os_env`] opens it onto Linux. A simulation opens the same
//! door onto simulated hosts and runs the very same driver. [`http`] answers programs and browsers
//! on the driver's port; [`data`] carries the bytes of chunks, [`files`] puts them together; [`config_desk`] reads and
//! changes the controller's files; [`tls`] has certificates; [`cli`] is what a person types.

pub mod cli;
pub mod config_desk;
pub mod console;
pub mod data;
pub mod driver;
pub mod env;
pub mod files;
pub mod http;
pub mod logging;
pub mod os_env;
mod percent;
pub mod secret_file;
pub mod server;
pub mod tls;
