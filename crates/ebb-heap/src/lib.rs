//! The movable heap: segments, arenas, blocks and exact accounting.
