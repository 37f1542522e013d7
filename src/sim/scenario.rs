//! Scripted stories.
