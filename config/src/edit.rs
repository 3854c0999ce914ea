//! Editing one line of a file.
