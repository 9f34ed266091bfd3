//! Models: what is wrong with their files, and what they make of real tables.

mod files;
mod publishing;
mod scd2;
mod star;
mod support;
