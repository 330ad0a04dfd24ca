//! Workers, connections, listeners and maintenance.
