//! simshop
