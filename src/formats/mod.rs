//! One file per foreign format, read and write.

pub mod dlc_labels_csv;
