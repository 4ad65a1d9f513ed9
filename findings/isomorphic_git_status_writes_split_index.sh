#!/bin/sh
# isomorphic-git's `status`, which only reads the state of one file, destroys the index of a repository with a split
# index (`core.splitIndex`, `git update-index --split-index`). Such an index has an extension `link`, in lower case so
# that a program that does not support it must stop. isomorphic-git continues: it takes the few entries of `.git/index`
# for all of them, and writes them back without the extension when it refreshes a stat entry (here after a touch). git
# then shows every file of the shared index as deleted, and the next commit drops them. Before that, an unchanged file
# is reported as `*undeleted`. No error is reported.
#
# Seen with isomorphic-git 1.44.19 and git 2.47.3, on four committed files and a fifth added to the index:
#   git before: 0 staged deletions
#   isomorphic-git 1.44.19
#   status of an unchanged file: *undeleted
#   status of the added file: added
#   git afterwards: 4 staged deletions
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-save --no-audit --no-fund --prefix "$work" isomorphic-git@1.44.19 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1
export HOME GIT_CONFIG_NOSYSTEM
git config --global user.name a
git config --global user.email a@example.com

git init -q repository
cd repository
for file in a b c d; do echo "$file" > "$file"; done
git add .
git commit -qm one
git config core.splitIndex true
git config splitIndex.maxPercentChange 100
git update-index --split-index
echo added > added
git add added
git fsck --strict

touch -d 2024-01-01 added

deletions() { git diff --cached --name-only --no-renames --diff-filter=D | wc -l; }
cat > "$work/status.cjs" <<'STATUS'
const fs = require('fs');
const git = require('isomorphic-git');
const dir = process.argv[2];
async function show() {
  console.log('isomorphic-git', git.version());
  console.log('status of an unchanged file:', await git.status({ fs, dir, filepath: 'a' }));
  console.log('status of the added file:', await git.status({ fs, dir, filepath: 'added' }));
}
show();
STATUS
{
    echo "git before: $(deletions) staged deletions"
    node "$work/status.cjs" "$work/repository"
    echo "git afterwards: $(deletions) staged deletions"
} | tee "$work/output"
diff - "$work/output" <<'EXPECTED'
git before: 0 staged deletions
isomorphic-git 1.44.19
status of an unchanged file: *undeleted
status of the added file: added
git afterwards: 4 staged deletions
EXPECTED
