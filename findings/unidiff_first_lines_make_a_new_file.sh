#!/bin/sh
# unidiff (Python) reports a changed file as an added one if its diff is one hunk that starts at line 0: an empty file
# that gets content, and with `git diff -U0`, as coverage and lint tools ask for it, each insertion at the top of a file
# (a licence, an import). Likewise the removal of the first lines is reported as a removed file. It decides by the
# numbers of the hunk even though the paths on both sides and the lines of git say that the file remains. whatthepatch
# and parse-diff, which read the paths, are right.
#
# Seen with unidiff 1.0.1, whatthepatch 1.0.7, parse-diff 0.12.0 and git 2.47.3:
#   git: M emptied, M filled, M header, M shortened
#   unidiff 1.0.1, git diff: removed emptied, added filled, modified header, modified shortened
#   unidiff 1.0.1, git diff -U0: removed emptied, added filled, added header, removed shortened
#   whatthepatch 1.0.7, git diff -U0: modified emptied, modified filled, modified header, modified shortened
#   parse-diff 0.12.0, git diff -U0: modified emptied, modified filled, modified header, modified shortened
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages \
    unidiff==1.0.1 whatthepatch==1.0.7
npm install --silent --no-save --no-audit --no-fund --prefix "$work" parse-diff@0.12.0 >/dev/null
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH
git config --global user.name a
git config --global user.email a@example.com

cat > unidiff_files.py <<'FILES'
import sys

from unidiff import PatchSet

for file in PatchSet(sys.stdin.read()):
    kind = "added" if file.is_added_file else "removed" if file.is_removed_file else "modified"
    print(kind, file.path)
FILES
cat > whatthepatch_files.py <<'FILES'
import sys

import whatthepatch

for diff in whatthepatch.parse_patch(sys.stdin.read()):
    sides = {"old": diff.header.old_path, "new": diff.header.new_path}
    absent = [side for side, path in sides.items() if path == "/dev/null"]
    print({(): "modified", ("old",): "added", ("new",): "removed"}[tuple(absent)], diff.header.new_path)
FILES
cat > files.cjs <<'FILES'
for (const file of require('parse-diff')(require('fs').readFileSync(0, 'utf8')))
  console.log(file.new ? 'added' : file.deleted ? 'removed' : 'modified', file.to);
FILES

git init -q repository
cd repository
: > filled
echo one > emptied
seq 5 > header
seq 5 > shortened
git add .
git commit -qm one
echo one > filled
: > emptied
sed -i '1i licence' header
sed -i '1,2d' shortened

joined() { paste -sd , | sed 's/,/, /g'; }
{
    echo "git: $(git diff --name-status | tr '\t' ' ' | joined)"
    echo "unidiff 1.0.1, git diff: $(git diff | python3 ../unidiff_files.py | joined)"
    echo "unidiff 1.0.1, git diff -U0: $(git diff -U0 | python3 ../unidiff_files.py | joined)"
    echo "whatthepatch 1.0.7, git diff -U0: $(git diff -U0 | python3 ../whatthepatch_files.py | joined)"
    echo "parse-diff 0.12.0, git diff -U0: $(git diff -U0 | node ../files.cjs | joined)"
} | tee ../output
diff - ../output <<'EXPECTED'
git: M emptied, M filled, M header, M shortened
unidiff 1.0.1, git diff: removed emptied, added filled, modified header, modified shortened
unidiff 1.0.1, git diff -U0: removed emptied, added filled, added header, removed shortened
whatthepatch 1.0.7, git diff -U0: modified emptied, modified filled, modified header, modified shortened
parse-diff 0.12.0, git diff -U0: modified emptied, modified filled, modified header, modified shortened
EXPECTED
