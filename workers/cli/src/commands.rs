//! One file a subcommand.

pub(crate) mod all;
pub(crate) mod backfill;
pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod dag;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod ps;
pub(crate) mod quality;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod up;
pub(crate) mod why;
pub(crate) mod work;
