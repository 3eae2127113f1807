//! Rows and what is done to them before training: reading, scaling, partitioning.

pub(crate) mod decimal;
pub(crate) mod either;
pub(crate) mod exact;
pub(crate) mod fixed;
pub(crate) mod folds;
pub(crate) mod g17;
pub(crate) mod gathered;
pub(crate) mod labels;
pub(crate) mod matrix;
pub(crate) mod problem;
pub(crate) mod rows;
pub(crate) mod scaling;
pub(crate) mod sparse;
