//! What git says about references, some of which may be broken: git lists none if it cannot read the object of one.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    process::stderr::Damage,
    read::fields::Layout,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt};

/// References per git process: their names are its arguments.
const CHUNK: usize = 200;
/// Maximum bytes of the listing of a chunk's objects.
const MAX_LISTING: usize = 64 << 10;

/// The full name of a reference, and its object.
pub(crate) type Named = (Vec<u8>, ObjectId);

/// git's fields of a reference, or why it is broken.
pub(crate) type Described = std::result::Result<Vec<Vec<u8>>, String>;

/// The fields wanted of each reference.
pub(crate) struct Form<'a> {
    /// The format, with `%00` after each field. The first field is the full name.
    pub(crate) format: &'a str,
    /// The number of fields.
    pub(crate) width: usize,
    /// Their limits.
    pub(crate) layout: Layout<'a>,
}

impl Repo {
    /// Describes references, in their order, without those that were deleted meanwhile.
    pub(crate) fn described<'n>(&self, names: &'n [Named], form: &Form<'_>, cancel: &Cancel) -> Result<Vec<(&'n Named, Described)>> {
        let mut found = HashMap::new();
        for chunk in names.chunks(CHUNK) {
            let chunk: Vec<&Named> = chunk.iter().collect();
            self.describe_each(&chunk, form, cancel, &mut found)?;
        }
        Ok(names.iter().filter_map(|named| Some((named, found.remove(&named.0)?))).collect())
    }

    fn describe_each(&self, names: &[&Named], form: &Form<'_>, cancel: &Cancel, found: &mut HashMap<Vec<u8>, Described>) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let process = self.read(&["for-each-ref", form.format]).args(names.iter().map(|named| OsStr::from_bytes(&named.0)));
        let error = match process.fields_of_success(form.layout, cancel) {
            Ok(fields) => {
                let row = |fields: &[Vec<u8>]| (fields[0].trim_start().to_vec(), Described::Ok(fields.to_vec()));
                found.extend(fields.chunks_exact(form.width).map(row));
                return Ok(());
            }
            Err(error) if error.damage() == Some(Damage::Other) => error,
            Err(error) => return Err(error),
        };
        if let [one] = names {
            found.insert(one.0.clone(), Err(cause(&error)));
            return Ok(());
        }
        let missing = self.which_are_missing(names, cancel)?;
        let (gone, rest): (Vec<&Named>, Vec<&Named>) = names.iter().copied().partition(|named| missing.contains(&named.1));
        if gone.is_empty() {
            // Something that one of the objects leads to: halve, until it is alone.
            let (first, second) = names.split_at(names.len() / 2);
            self.describe_each(first, form, cancel, found)?;
            return self.describe_each(second, form, cancel, found);
        }
        found.extend(gone.iter().map(|(name, id)| (name.clone(), Described::Err(format!("object {id} is missing or damaged")))));
        self.describe_each(&rest, form, cancel, found)
    }

    /// The objects that are missing or damaged.
    fn which_are_missing(&self, names: &[&Named], cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let wanted: Vec<String> = names.iter().map(|named| named.1.to_string()).collect();
        let process = self.read(&["cat-file", "--batch-check=%(objectname)"]).stdin(wanted.join("\n").into_bytes()).may_die();
        let (_, output) = process.output(cancel, MAX_LISTING)?;
        Ok(output.lines().filter_map(|line| ObjectId::from_hex(line.strip_suffix(b" missing")?).ok()).collect())
    }
}

/// Why git could not read a reference, in its own words.
fn cause(error: &Error) -> String {
    match error {
        Error::Unreadable { said } | Error::Failed { stderr: said, .. } => said.strip_prefix("fatal: ").unwrap_or(said).to_owned(),
        error => error.to_string(),
    }
}
