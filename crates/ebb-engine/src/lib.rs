//! Command specifications, sessions, dispatch and call.
#![forbid(unsafe_code)]
