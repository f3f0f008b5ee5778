//! The page and the table that show what a run found.
