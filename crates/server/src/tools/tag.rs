//! `git_tag`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, word},
    tool::{Context, Effect, Entry, PolicyAction, Scope, Tool, Toolset, actions, needed},
    tools::{change, hooks},
};
use git::{ObjectKind, Reach, Rev, TagName, Verified};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Tag>().listed_in(Toolset::Branches);

struct Tag;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What to do.
    #[serde(default)]
    action: Action,
    /// The tag; for `list` a pattern such as `v1.*`.
    name: Option<String>,
    /// Object to tag. Default HEAD.
    revision: Option<String>,
    /// Makes the tag annotated.
    message: Option<String>,
    /// Sign it; needs `message`.
    #[serde(default)]
    sign: bool,
}

actions!(List, Create, Delete, Verify; reads List);

impl Tool for Tag {
    type Args = Args;
    const NAME: &'static str = "git_tag";
    const ABOUT: &'static str = "Lists, creates, deletes or verifies tags. To see one, use git_show; to push it, git_push with `tags`.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        if args.action == Action::List {
            list(cx, args.name.as_deref(), &mut writer)?;
            return Ok(writer.finish());
        }
        let name = TagName::new(needed(args.name, "name")?)?;
        match args.action {
            Action::List => {}
            Action::Create => {
                let message = change::message(args.message)?;
                if args.sign && message.is_none() {
                    return Err(Error::new(Kind::BadInput, "`sign` needs `message`"));
                }
                let rev = args.revision.map_or_else(|| Ok(Rev::head()), Rev::new)?;
                cx.reaches(Reach::Refs);
                cx.moves_refs()?;
                let target = cx.repo.create_tag(&name, &rev, message.as_deref(), args.sign, cx.cancel)?;
                writer.say(&format!("tagged {} as {}", cx.repo.abbreviate(target), named(&name)));
                writer.note(format!("to push it: {}", cx.echo.other("git_push", &[("tags", json!([name.as_str()]))])));
                if message.is_some() {
                    hooks::note_unsigned(cx, "tag", &mut writer);
                }
            }
            Action::Delete => {
                let is_broken = cx.repo.is_broken(&name.full(), cx.cancel)?;
                let can = if is_broken { "cannot" } else { "can" };
                cx.permit(PolicyAction::Delete, &format!("the local tag would be deleted; git_undo {can} restore it"))?;
                cx.reaches(Reach::Refs);
                cx.moves_refs()?;
                let former = cx.repo.delete_tag(&name, cx.cancel).map_err(|err| unknown(err, &name))?;
                let was = former.id.map_or_else(|| "named no object".to_owned(), |id| format!("was {id}"));
                writer.say(&format!("deleted {}, which {was}", named(&name)));
                if former.is_broken {
                    writer.note("git_undo cannot restore it: it was broken");
                } else {
                    writer.note(format!("to restore it: {}", cx.echo.other("git_undo", &[])));
                }
            }
            Action::Verify => {
                let said = verified(&name, cx.repo.verify_tag(&name, cx.cancel).map_err(|err| unknown(err, &name))?)?;
                writer.say(&format!("the signature of {} is good", named(&name)));
                writer.quote(&said);
            }
        }
        Ok(writer.finish())
    }
}

fn named(name: &TagName) -> String {
    word(Field::Ref, name.as_str(), "git_tag")
}

/// The error for a missing tag.
fn unknown(err: git::Error, name: &TagName) -> Error {
    match err {
        git::Error::UnknownRevision(_) => {
            Error::new(Kind::NotFound, format!("there is no tag `{}`", name.as_str())).hint("git_tag lists the tags.")
        }
        err => err.into(),
    }
}

/// The report on a good signature, or an error.
fn verified(name: &TagName, found: Verified) -> Result<String, Error> {
    let name = name.as_str();
    let unchecked = |said| format!("the signature of {name} could not be checked: {said}");
    let (message, hint) = match found {
        Verified::Good(said) => return Ok(said),
        Verified::Bad(said) => (format!("{name} has no good signature: {said}"), String::new()),
        Verified::Unsigned(said) => (format!("{name} has no signature: {said}"), String::new()),
        Verified::UnknownKey(said) => (
            unchecked(said),
            "Ask the operator to add the key: with `gpg --import`, or for ssh as a line of the `gpg.ssh.allowedSignersFile`.".to_owned(),
        ),
        Verified::NoSigners(said) => (
            unchecked(said),
            "Ask the operator to name a file of signers and keys: git config --global gpg.ssh.allowedSignersFile FILE".to_owned(),
        ),
        Verified::NoProgram { said, signer } => (
            unchecked(said),
            format!(
                "Ask the operator to install the program, or to name it as `{}`; the server's PATH may be shorter than a terminal's.",
                signer.setting()
            ),
        ),
    };
    let error = Error::new(Kind::Refused, message);
    Err(if hint.is_empty() { error } else { error.hint(hint) })
}

/// What a tag names, unless it is a commit, and whether it is annotated.
fn target(kind: Option<ObjectKind>, annotated: bool) -> &'static str {
    match (kind, annotated) {
        (Some(ObjectKind::Blob), true) => " (annotated, of a blob) ",
        (Some(ObjectKind::Blob), false) => " (of a blob) ",
        (Some(ObjectKind::Tree), true) => " (annotated, of a tree) ",
        (Some(ObjectKind::Tree), false) => " (of a tree) ",
        (_, true) => " (annotated) ",
        (_, false) => " ",
    }
}

fn list(cx: &Context<'_>, pattern: Option<&str>, writer: &mut Writer) -> Result<(), Error> {
    if pattern.is_some_and(|pattern| pattern.starts_with('/') || pattern.contains("..") || pattern.chars().any(char::is_control)) {
        return Err(Error::new(Kind::BadInput, "`name` is not a valid tag pattern"));
    }
    let tags = cx.repo.tags(pattern, cx.cancel)?;
    if tags.is_empty() {
        writer.say("there are no such tags");
    }
    let shown = writer.rows(
        &tags,
        |tag, row| {
            row.field(Field::Ref, "name", &tag.name).put(" ").field(Field::Name, "id", cx.repo.abbreviate(tag.target));
            match &tag.broken {
                Some(why) => row.put(" is broken: ").field(Field::Value, "reason", why),
                None => row.put(target(tag.kind, tag.annotated)).field(Field::Subject, "subject", &tag.subject),
            }
        },
        |tag, what| match what {
            "subject" => cx.echo.other("git_show", &[("revision", json!(tag.id.to_string()))]),
            _ => "`git tag --list`".to_owned(),
        },
    );
    if shown < tags.len() {
        writer.note(format!("{} older tags are not listed; narrow the list with `name`", tags.len() - shown));
    }
    Ok(())
}
