pub mod driver;
pub mod env;
