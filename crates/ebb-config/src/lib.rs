//! The configuration: one table of directives, the redis.conf grammar, and rewriting.
#![forbid(unsafe_code)]
