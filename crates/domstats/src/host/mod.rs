//! Readers of the Linux host, each with an injectable root.
