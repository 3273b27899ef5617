//! Measurements of annulus and its rivals against the physical limits of the same run.
