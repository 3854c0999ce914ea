//! Vaquita node.
