#!/bin/sh
# git moves notes into folders named by the first two digits of a commit's id once there are some hundred of them.
# isomorphic-git only knows notes without folders: `readNote` then reports that a commit has no note, `listNotes`
# returns the folders ("target": "02") as if they were notes, and `addNote` writes a second note for the same commit,
# which git reads as one text with both. With few notes everything is right, so a small test does not show the bug.
#
# Seen with isomorphic-git 1.44.19 and git 2.47.3; the note of each commit is its subject:
#   isomorphic-git 1.44.19
#   20 notes: readNote: "20"; listNotes: 20, 20 of them notes; after addNote git shows: mine
#   400 notes: readNote: NotFoundError; listNotes: 205, 0 of them notes; after addNote git shows: 400 mine
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" isomorphic-git@1.44.19 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
cat > notes.cjs <<'NOTES'
const fs = require('fs');
const git = require('isomorphic-git');
const [, , dir, oid] = process.argv;
const author = { name: 'a', email: 'a@example.com' };
async function show() {
  const text = (note) => JSON.stringify(Buffer.from(note).toString().trim());
  const found = await git.readNote({ fs, dir, oid }).then(text, (error) => error.code);
  const listed = await git.listNotes({ fs, dir });
  const right = listed.filter((note) => note.target.length === 40).length;
  await git.addNote({ fs, dir, oid, note: 'mine\n', force: true, author });
  console.log(`readNote: ${found}; listNotes: ${listed.length}, ${right} of them notes`);
}
show();
NOTES

# $1: the number of commits and notes
show() {
    git init -q -b main "$1"
    for number in $(seq "$1"); do
        user="committer a <a@example.com> $((1700000000 + number)) +0000"
        text=$(printf 'data <<END\n%s\nEND' "$number")
        printf 'commit refs/heads/main\nmark :%s\n%s\n%s\n' "$number" "$user" "$text"
        printf 'commit refs/notes/commits\n%s\n%s\nN inline :%s\n%s\n' "$user" "$text" "$number" "$text"
    done | git -C "$1" fast-import --quiet
    git -C "$1" fsck --strict
    [ "$(git -C "$1" notes list | wc -l)" = "$1" ]
    [ "$(git -C "$1" notes show main)" = "$1" ]
    said=$(node notes.cjs "$1" "$(git -C "$1" rev-parse main)")
    echo "$1 notes: $said; after addNote git shows: $(git -C "$1" notes show main | xargs)"
}

node -p '"isomorphic-git " + require("isomorphic-git").version()'
show 20 > few
show 400 > many
cat few many
grep -q '"20"; listNotes: 20, 20 of them notes; after addNote git shows: mine$' few
grep -q 'readNote: NotFoundError; .* 0 of them notes; after addNote git shows: 400 mine$' many
