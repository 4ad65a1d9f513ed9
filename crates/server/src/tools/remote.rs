//! Remotes, and their references: `git_remote_*`, `git_ls_remote`.

use crate::{
    error::Error,
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset},
};
use git::{Remote, RemoteName};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const LIST: Entry = Entry::of::<List>().listed_in(Toolset::Remotes).also_in(&[Toolset::Legacy]);
pub(super) const ADD: Entry = Entry::of::<Add>().listed_in(Toolset::Remotes).also_in(&[Toolset::Legacy]);
pub(super) const REMOVE: Entry = Entry::of::<Remove>().listed_in(Toolset::Remotes).also_in(&[Toolset::Legacy]);
pub(super) const RENAME: Entry = Entry::of::<Rename>().listed_in(Toolset::Remotes).also_in(&[Toolset::Legacy]);
pub(super) const SET_URL: Entry = Entry::of::<SetUrl>().listed_in(Toolset::Remotes).also_in(&[Toolset::Legacy]);
pub(super) const GET_URL: Entry = Entry::of::<GetUrl>().listed_in(Toolset::Remotes).also_in(&[Toolset::Legacy]);
pub(super) const LS_REMOTE: Entry = Entry::of::<LsRemote>().listed_in(Toolset::Remotes);

struct List;
struct Add;
struct Remove;
struct Rename;
struct SetUrl;
struct GetUrl;
struct LsRemote;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArgs {
    /// URLs are always shown.
    #[serde(default, rename = "verbose")]
    #[schemars(skip)]
    _verbose: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NameArgs {
    /// The remote.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UrlArgs {
    /// The remote.
    name: String,
    /// URL, over https or ssh.
    url: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RenameArgs {
    /// Current name.
    old_name: String,
    /// New name.
    new_name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LsRemoteArgs {
    /// A remote or a URL. Default: the upstream's, or origin.
    remote: Option<String>,
    /// Only references that match one of these, such as `main` or `v1.*`.
    #[serde(default)]
    patterns: Vec<String>,
}

impl Tool for List {
    type Args = ListArgs;
    const NAME: &'static str = "git_remote_list";
    const ABOUT: &'static str = "Lists the remotes with their URLs.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, _: ListArgs) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        let remotes = cx.repo.remotes(cx.cancel)?;
        if remotes.is_empty() {
            writer.say("there are no remotes");
        }
        show(&remotes, &mut writer);
        Ok(writer.finish())
    }
}

fn show(remotes: &[Remote], writer: &mut Writer) {
    let places = |remote: &Remote| {
        let (urls, push_urls) = (remote.urls.iter().map(|url| (url, "")), remote.push_urls.iter().map(|url| (url, " (push)")));
        urls.chain(push_urls).map(|(url, what)| (remote.name.clone(), url.clone(), what)).collect::<Vec<_>>()
    };
    let all: Vec<_> = remotes.iter().flat_map(places).collect();
    writer.list(
        &all,
        |(name, url, what), row| row.field(Field::Value, "name", name).put(" ").field(Field::Url, "url", url).put(what),
        "`git remote --verbose`",
        |rest| format!("{} in `git remote --verbose`; git_remote_get_url shows those of one remote", counted(rest, "more URL")),
    );
}

fn named(name: &RemoteName) -> String {
    word(Field::Name, name.as_str(), "git_remote_list")
}

impl Tool for Add {
    type Args = UrlArgs;
    const NAME: &'static str = "git_remote_add";
    const ABOUT: &'static str = "Adds a remote, without fetching from it. To change a URL: git_remote_set_url.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: UrlArgs) -> Result<Reply, Error> {
        let name = RemoteName::new(args.name)?;
        cx.repo.add_remote(&name, &args.url, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("added {}", named(&name)));
        writer.note(format!("to fetch from it: {}", cx.echo.other("git_fetch", &[("remote", json!(name.as_str()))])));
        Ok(writer.finish())
    }
}

impl Tool for Remove {
    type Args = NameArgs;
    const NAME: &'static str = "git_remote_remove";
    const ABOUT: &'static str = "Removes a remote with its remote-tracking branches and upstream settings. The remote itself stays.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: NameArgs) -> Result<Reply, Error> {
        let name = RemoteName::new(args.name)?;
        let filter = cx.repo.filter_of_promisor(&name, cx.cancel)?;
        let removed = cx.repo.remove_remote(&name, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("removed {}", named(&name)));
        // The call would not restore a URL that is shown redacted.
        if let Some(url) = removed.urls.first().filter(|url| word(Field::Url, url, "") == **url) {
            let back = cx.echo.other("git_remote_add", &[("name", json!(name.as_str())), ("url", json!(url))]);
            writer.note(format!("to restore it: {back}"));
        }
        if let Some(filter) = filter {
            let (name, top) = (named(&name), cx.repo.top().display());
            let filter = word(Field::Value, filter, "not kept");
            writer.note(format!(
                "this is a partial clone, and its missing objects come from {name}: after adding it again, and before fetching from it, \
                 ask the operator to run `git -C {top} config remote.{name}.promisor true` and \
                 `git -C {top} config remote.{name}.partialclonefilter {filter}`"
            ));
        }
        Ok(writer.finish())
    }
}

impl Tool for Rename {
    type Args = RenameArgs;
    const NAME: &'static str = "git_remote_rename";
    const ABOUT: &'static str = "Renames a remote and its remote-tracking branches.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: RenameArgs) -> Result<Reply, Error> {
        let (old, new) = (RemoteName::new(args.old_name)?, RemoteName::new(args.new_name)?);
        cx.repo.rename_remote(&old, &new, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("{} is now {}", named(&old), named(&new)));
        Ok(writer.finish())
    }
}

impl Tool for SetUrl {
    type Args = UrlArgs;
    const NAME: &'static str = "git_remote_set_url";
    const ABOUT: &'static str = "Sets a remote's URL.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: UrlArgs) -> Result<Reply, Error> {
        let name = RemoteName::new(args.name)?;
        let before = cx.repo.set_remote_url(&name, &args.url, cx.cancel)?;
        let mut writer = cx.writer();
        let was = before.urls.first().map_or_else(String::new, |url| format!("; it was at {}", word(Field::Url, url, "not kept")));
        writer.say(&format!("{} has the new URL{was}", named(&name)));
        Ok(writer.finish())
    }
}

impl Tool for GetUrl {
    type Args = NameArgs;
    const NAME: &'static str = "git_remote_get_url";
    const ABOUT: &'static str = "Shows the URLs of one remote.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: NameArgs) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        show(&[cx.repo.remote(&RemoteName::new(args.name)?, cx.cancel)?], &mut writer);
        Ok(writer.finish())
    }
}

impl Tool for LsRemote {
    type Args = LsRemoteArgs;
    const NAME: &'static str = "git_ls_remote";
    const ABOUT: &'static str = "Lists a remote's current branches and tags, without fetching.";
    const EFFECT: Effect = Effect::Read;
    const SCOPE: Scope = Scope::Remote;

    fn run(cx: &Context<'_>, args: LsRemoteArgs) -> Result<Reply, Error> {
        let refs = match &args.remote {
            Some(remote) => cx.repo.ls_remote(remote, &args.patterns, cx.on_progress, cx.cancel)?,
            None => cx.repo.refs_at(&cx.repo.default_fetch_place(cx.cancel)?, &args.patterns, cx.on_progress, cx.cancel)?,
        };
        let mut writer = cx.writer();
        if refs.is_empty() {
            writer.say("the remote has no such references");
        }
        writer.list(
            &refs,
            |reference, row| row.id(reference.id).put(" ").field(Field::Ref, "name", &reference.name),
            "`git ls-remote`",
            |rest| format!("{rest} more; narrow the list with `patterns`"),
        );
        Ok(writer.finish())
    }
}
