//! The content of a file of the working tree as git would store it.

use crate::{
    beneath::{self, Kind, to_path},
    error::{Error, Result},
    name::RelPath,
    repo::{Repo, index_file::index_now, route::only_git},
};
use engine::rules::{Attributes, Conversion, Settings, Source, Value};
use gix::bstr::ByteSlice;
use std::{borrow::Cow, io::Read};

/// Maximum size of a file that is converted in-process.
const MAX_CONTENT: u64 = 32 << 20;

impl Repo {
    /// The content of a file of the working tree, converted as for the index.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if only git can convert it.
    pub(crate) fn stored_content(&self, engine: &gix::Repository, path: &RelPath) -> Result<Vec<u8>> {
        if self.settings.converts_text || self.settings.conditional {
            return Err(only_git("settings that convert text"));
        }
        let index = index_now(engine)?;
        if index.is_sparse() {
            return Err(only_git("a sparse index"));
        }
        let filters = self.settings.local_filters.iter().chain(&self.settings.operator_filters);
        let settings = Settings { filters: filters.map(|name| name.clone().into_bytes()).collect(), ..Settings::default() };
        let values = self.attributes_of(engine, &index, path.as_bytes())?;
        let conversion = Conversion::of(&values, &settings)?;
        let (file, found) = self.worktree_folder()?.file(path.as_path()).map_err(Error::engine)?;
        if found.len() > MAX_CONTENT {
            return Err(only_git("a large file"));
        }
        let mut content = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
        file.take(MAX_CONTENT + 1).read_to_end(&mut content).map_err(Error::engine)?;
        let staged = || {
            let stages = [gix::index::entry::Stage::Unconflicted, gix::index::entry::Stage::Ours];
            let mut entries = stages.iter().filter_map(|stage| index.entry_by_path_and_stage(path.as_bytes().as_bstr(), *stage));
            let blob = entries.next().map(|entry| engine.find_object(entry.id).map_err(engine::Error::corrupt));
            Ok(blob.transpose()?.map(|blob| blob.detach().data))
        };
        Ok(conversion.to_git(Cow::Owned(content), staged)?.into_owned())
    }

    /// The attributes for conversion of a path of the working tree.
    fn attributes_of(&self, engine: &gix::Repository, index: &gix::index::State, path: &[u8]) -> Result<[Value; 6]> {
        let mut globals = Vec::new();
        for file in self.settings.attribute_files.iter().rev() {
            match beneath::read_own(file, Kind::Rules) {
                Ok(text) => globals.push(text),
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) => return Err(only_git("an attributes file that is not a small file")),
            }
        }
        let globals: Vec<&[u8]> = globals.iter().map(Vec::as_slice).collect();
        let info = self.common_folder().read("info/attributes", Kind::Rules).map_err(Error::engine)?;
        let fold = engine.config_snapshot().boolean("core.ignoreCase").unwrap_or(false);
        let mut attributes = Attributes::new(&globals, info.as_deref(), fold);
        let ends = path.find_iter(b"/").map(|end| end + 1);
        for end in std::iter::once(0).chain(ends) {
            let Some(prefix) = path.get(..end) else { continue };
            let name = [prefix, b".gitattributes"].concat();
            let text = match self.worktree_folder()?.read(to_path(&name), Kind::Rules).map_err(Error::engine)? {
                Some(text) => Some((text, Source::File)),
                None => match index.entry_by_path(name.as_bstr()) {
                    Some(entry) => Some((engine.find_object(entry.id).map_err(Error::engine)?.detach().data, Source::Blob)),
                    None => None,
                },
            };
            attributes = attributes.enter(prefix, text.as_ref().map(|(text, source)| (text.as_slice(), *source)));
        }
        Ok(attributes.of(path, Conversion::NAMES))
    }
}
