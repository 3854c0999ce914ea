//! What turns the state machines of `vaquita-core` into server processes.
//!
//! [`env`] is the only door to the outside: sockets, disk, processes, clocks, entropy. [`driver`]
//! runs a machine behind that door, [`os_env`] opens it onto Linux. A simulation opens the same
//! door onto simulated hosts and runs the very same driver.

pub mod console;
pub mod driver;
pub mod env;
pub mod logging;
pub mod os_env;
pub mod secret_file;
