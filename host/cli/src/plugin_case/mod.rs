//! Tests of plugins without a server: one case is a folder with `case.yaml`.

pub mod subject;
