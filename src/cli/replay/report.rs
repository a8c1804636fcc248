//! Figures and pictures of what was replayed.
