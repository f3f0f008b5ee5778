//! What the tests share: fixtures, tiny data sets, small networks.
