//! What the tests share: fixtures, tiny data sets, small networks.

pub mod twin;
