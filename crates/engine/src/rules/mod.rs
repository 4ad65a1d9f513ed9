//! Ignore rules, attributes and conversion, with git's own semantics.
//!
//! Bytes in, verdicts out: this room opens no file. A scan that descends through the working tree passes the content of
//! `.gitignore` and `.gitattributes` of each directory.

mod attributes;
mod convert;
mod encoding;
mod glob;
mod ignore;
mod lines;
mod pattern;
mod stack;
mod table;

pub use attributes::{Attributes, Source, Value};
pub use convert::{AutoCrlf, Conversion, Settings};
pub use ignore::{Ignore, List};
