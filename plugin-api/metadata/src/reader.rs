//! Reads records from the bytes of a section.
