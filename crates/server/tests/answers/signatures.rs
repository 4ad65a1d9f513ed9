//! Signatures: no missing one goes unreported, and an unverified one is not called bad.

use crate::support::{Client, Fixture, hooks::script, shell};
use serde_json::{Value, json};

/// A program that signs, and one that verifies with the result in its argument.
const SIGNER: &str = "case \"$*\" in *--verify*) cat > /dev/null; echo \"$SAID\" >&2; exit ${CODE:-1};; esac
cat > /dev/null; echo '[GNUPG:] SIG_CREATED ' >&2; printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nx\\n-----END PGP SIGNATURE-----\\n'";

/// A repository whose `gpg.program` signs, with these settings.
fn signing(settings: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new();
    let signer = fixture.path.with_file_name("signer");
    script(&signer, SIGNER);
    fixture.git(&["config", "gpg.program", &signer.display().to_string()]);
    for (key, value) in settings {
        fixture.git(&["config", key, value]);
    }
    fixture
}

fn is_signed(fixture: &Fixture, name: &str) -> bool {
    fixture.text(&["cat-file", "-p", name]).contains("BEGIN PGP SIGNATURE")
}

#[test]
fn annotated_tags_are_signed_as_by_git() {
    for (settings, variables, expect) in [
        (&[("tag.forceSignAnnotated", "true")][..], &[][..], true),
        (&[("tag.gpgSign", "true")], &[], true),
        (&[], &[("MCP_GIT_SIGNING", "require")], true),
        (&[], &[], false),
        (&[("tag.forceSignAnnotated", "false")], &[], false),
        (&[("tag.forceSignAnnotated", "true")], &[("MCP_GIT_SIGNING", "never")], false),
    ] {
        let fixture = signing(settings);
        if variables.is_empty() {
            fixture.git(&["tag", "-m", "x", "of-git"]);
            assert_eq!(is_signed(&fixture, "of-git"), expect, "git, with {settings:?}");
        }
        let mut client = fixture.serve_with(&[], variables);
        client.text("git_tag", &json!({"action": "create", "name": "v1", "message": "one\n\n# not a comment"}));
        assert_eq!(is_signed(&fixture, "v1"), expect, "{settings:?} {variables:?}");
        assert!(fixture.text(&["cat-file", "-p", "v1"]).contains("# not a comment"));
        client.text("git_tag", &json!({"action": "create", "name": "light"}));
        assert_eq!(fixture.text(&["cat-file", "-t", "light"]), "commit");
    }
}

/// A client of a server that found the repository below a root, with the operator's settings.
fn found(fixture: &Fixture, settings: &str) -> Client {
    let global = fixture.path.with_file_name("global");
    std::fs::write(&global, settings).expect("a file");
    let above = fixture.path.parent().expect("a folder").display().to_string();
    let mut client = Client::start(&["-r", &above, "--toolsets", "all"], &[("GIT_CONFIG_GLOBAL", &global.display().to_string())]);
    client.initialize();
    client
}

#[test]
fn an_untrusted_repository_reports_what_it_leaves_unsigned() {
    let calls: [(&str, Value, &str); 4] = [
        ("git_commit", json!({"message": "m", "allow_empty": true}), "the commit is not signed, although `commit.gpgSign` is set"),
        ("git_merge", json!({"source_branch": "side", "no_ff": true}), "the commit is not signed, although `commit.gpgSign` is set"),
        ("git_cherry_pick", json!({"commit_hash": "side"}), "the commit is not signed, although `commit.gpgSign` is set"),
        ("git_tag", json!({"action": "create", "name": "v", "message": "m"}), "the tag is not signed, although `tag.gpgSign`"),
    ];
    for (settings, expect) in [("[commit]\ngpgSign=true\n[tag]\nforceSignAnnotated=true\n", true), ("", false)] {
        for (tool, args, note) in &calls {
            let fixture = Fixture::new();
            fixture.git(&["checkout", "-q", "-b", "side"]);
            fixture.write("side.txt", "s\n").commit("side").git(&["checkout", "-q", "main"]);
            fixture.write("main.txt", "m\n").commit("main");
            let mut client = found(&fixture, settings);
            let mut args = args.clone();
            args["repo_path"] = json!(fixture.path);
            if *tool == "git_merge" {
                args.as_object_mut().expect("arguments").remove("no_ff");
            }
            let text = client.text(tool, &args);
            assert_eq!(text.contains(note), expect, "{tool}: {text}");
            assert!(!expect || text.contains(&format!("`-r {}`", fixture.path.display())), "{tool}: {text}");
        }
    }
    let fixture = Fixture::new();
    let mut client = found(&fixture, "");
    for (tool, args) in [
        ("git_tag", json!({"action": "create", "name": "v", "message": "m", "sign": true, "repo_path": fixture.path})),
        ("git_commit", json!({"message": "m", "allow_empty": true, "gpg_sign": true, "repo_path": fixture.path})),
    ] {
        let error = client.error(tool, &args);
        assert!(error.contains("is not trusted, and this change would run its signing program"), "{error}");
        assert!(error.contains(&format!("`-r {}`", fixture.path.display())), "{error}");
    }
    assert_eq!(fixture.text(&["tag", "--list"]), "");
}

#[test]
fn a_signature_that_could_not_be_checked_is_not_called_bad() {
    for (said, expect, hint) in [
        ("gpg: Can't check signature: No public key", "the signature of v1 could not be checked: ", "`gpg --import`"),
        ("gpg: BAD signature from A", "v1 has no good signature: ", ""),
    ] {
        let fixture = signing(&[("tag.gpgSign", "true")]);
        fixture.git(&["tag", "-m", "x", "v1"]);
        let error = fixture.serve_with(&[], &[("SAID", said)]).error("git_tag", &json!({"action": "verify", "name": "v1"}));
        assert!(error.contains(expect) && error.contains(said) && error.contains(hint), "{error}");
    }
    let fixture = signing(&[("tag.gpgSign", "true")]);
    fixture.git(&["tag", "-m", "x", "v1"]);
    fixture.git(&["tag", "-m", "x", "--no-sign", "plain"]);
    fixture.git(&["tag", "--no-sign", "light"]);
    for name in ["plain", "light"] {
        let error = fixture.serve().error("git_tag", &json!({"action": "verify", "name": name}));
        assert!(error.contains(&format!("{name} has no signature: ")), "{error}");
    }
    for action in ["verify", "delete"] {
        let error = fixture.serve().error("git_tag", &json!({"action": action, "name": "nothing", "confirm": true}));
        assert!(error.contains("there is no tag `nothing`") && error.contains("git_tag lists the tags"), "{error}");
    }
    fixture.git(&["config", "gpg.program", "/nowhere/gpg"]);
    let error = fixture.serve().error("git_tag", &json!({"action": "verify", "name": "v1"}));
    assert!(error.contains("could not be checked: ") && error.contains("`gpg.program`"), "{error}");
}

#[test]
fn an_ssh_key_leads_to_the_ssh_settings() {
    let fixture = Fixture::new();
    if crate::support::programs::found("ssh-keygen").is_none() {
        return;
    }
    shell(&fixture.path, "ssh-keygen -q -t ed25519 -N '' -f ../id; ssh-keygen -q -t ed25519 -N secret -f ../locked");
    let key = |name: &str| fixture.path.with_file_name(name).display().to_string();
    fixture.git(&["config", "gpg.format", "ssh"]);
    fixture.git(&["config", "user.signingKey", &key("id")]);
    fixture.git(&["tag", "-s", "-m", "x", "v1"]);
    let verify = json!({"action": "verify", "name": "v1"});
    let error = fixture.serve().error("git_tag", &verify);
    assert!(error.contains("could not be checked: ") && error.contains("config --global gpg.ssh.allowedSignersFile FILE"), "{error}");
    fixture.write("../signers", "");
    fixture.git(&["config", "gpg.ssh.allowedSignersFile", &key("signers")]);
    let error = fixture.serve().error("git_tag", &verify);
    assert!(error.contains("could not be checked: ") && error.contains("as a line of"), "{error}");
    shell(&fixture.path, "echo \"author@example.com $(cat ../id.pub)\" > ../signers");
    assert!(fixture.serve().text("git_tag", &verify).contains("the signature of v1 is good"));
    let sign = json!({"action": "create", "name": "v2", "message": "x", "sign": true});
    for (settings, agent) in
        [(&[("user.signingKey", key("locked"))][..], true), (&[("gpg.ssh.program", "/nowhere/keygen".to_owned())], true)]
    {
        for (name, value) in settings {
            fixture.git(&["config", name, value]);
        }
        let error = fixture.serve().error("git_tag", &sign);
        assert!(error.contains("`gpg.ssh.program` and `user.signingKey`") && !error.contains("`gpg.program`"), "{error}");
        assert_eq!(error.contains("The server has no ssh agent"), agent, "{error}");
    }
}

#[test]
fn a_failing_signature_names_the_program_of_its_kind() {
    let settings = ["gpg.program", "gpg.x509.program", "gpg.ssh.program"];
    for (format, setting) in [("openpgp", settings[0]), ("x509", settings[1]), ("ssh", settings[2])] {
        let fixture = Fixture::new();
        for (key, value) in [("gpg.format", format), ("user.signingKey", "/nowhere/key"), ("commit.gpgSign", "true")] {
            fixture.git(&["config", key, value]);
        }
        for key in settings {
            fixture.git(&["config", key, "/nowhere/program"]);
        }
        let mut client = fixture.serve();
        for (tool, args) in [
            ("git_commit", json!({"message": "m", "allow_empty": true})),
            ("git_tag", json!({"action": "create", "name": "v1", "message": "m", "sign": true})),
        ] {
            let error = client.error(tool, &args);
            assert!(error.contains("the signing program `program` stopped the "), "{format}: {error}");
            for key in settings {
                assert_eq!(error.contains(&format!("`{key}`")), key == setting, "{format}: {error}");
            }
            assert!(error.contains("`user.signingKey`"), "{error}");
        }
    }
}

#[test]
fn a_signature_without_a_program_names_the_setting_of_its_kind() {
    for (kind, setting) in [("PGP SIGNATURE", "gpg.program"), ("SIGNED MESSAGE", "gpg.x509.program"), ("SSH SIGNATURE", "gpg.ssh.program")]
    {
        let fixture = Fixture::new();
        let head = fixture.text(&["rev-parse", "HEAD"]);
        let text = format!(
            "object {head}\ntype commit\ntag v1\ntagger A <a@b> 1700000000 +0000\n\nm\n-----BEGIN {kind}-----\nx\n-----END {kind}-----\n"
        );
        fixture.write("../tag", text);
        fixture.git(&["config", "gpg.ssh.allowedSignersFile", &fixture.path.with_file_name("tag").display().to_string()]);
        fixture.git(&["config", setting, "/nowhere/program"]);
        let id = fixture.text(&["hash-object", "-t", "tag", "-w", "../tag"]);
        fixture.git(&["update-ref", "refs/tags/v1", &id]);
        let error = fixture.serve().error("git_tag", &json!({"action": "verify", "name": "v1"}));
        assert!(error.contains("could not be checked: ") && error.contains(&format!("or to name it as `{setting}`;")), "{kind}: {error}");
    }
}
