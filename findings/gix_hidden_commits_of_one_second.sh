#!/bin/sh
# A gix walk from `side` that hides `main` (`git log main..side`) also lists a commit of `main` if commits share a
# timestamp, as after a script, a rebase or an import. There is no error. The same walk is correct in topological order,
# and in any order with a commit-graph file: so the result for one commit changes after `git gc`, and a test on a packed
# repository does not show the bug. The count of commits ahead is wrong too.
#
# Seen with gitoxide-py 0.87.0, which uses gix 0.87.1, and git 2.47.3, on a branch that merged three commits of main:
#   gix 0.87.1
#   git: merge side
#   gix, breadth-first: merge side base
#   gix, newest-first: merge side base
#   gix, oldest-first: merge side base
#   gix, topological: merge side
#   gix, ahead of main: 3
#   with a commit-graph file:
#   gix, breadth-first: merge side
#   gix, ahead of main: 2
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages gitoxide-py==0.87.0
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH GIT_AUTHOR_DATE GIT_COMMITTER_DATE
git config --global user.name a
git config --global user.email a@example.com

git init -q -b main repository
cd repository
git commit -q --allow-empty -m base
git branch side
for subject in one two three; do git commit -q --allow-empty -m "$subject"; done
git switch -q side
git commit -q --allow-empty -m side
git merge -q --no-edit -m merge main
git fsck --strict

cat > "$work/walk.py" <<'WALK'
import sys

import gitoxide_py

repository = gitoxide_py.open(".")
for order in sys.argv[1:]:
    commits = repository.commits("side", hide=["main"], sort=order)
    print(f"gix, {order}:", *(commit.message.strip() for commit in commits))
print("gix, ahead of main:", repository.ahead_behind("side", "main")[0])
WALK
python3 -c 'import gitoxide_py; print("gix", gitoxide_py.gix_version())'
{
    printf 'git:'
    git log --format=%s main..side | while read -r subject; do printf ' %s' "$subject"; done
    echo
    python3 "$work/walk.py" breadth-first newest-first oldest-first topological
    git commit-graph write --reachable
    echo 'with a commit-graph file:'
    python3 "$work/walk.py" breadth-first
} | tee "$work/output"
diff - "$work/output" <<'EXPECTED'
git: merge side
gix, breadth-first: merge side base
gix, newest-first: merge side base
gix, oldest-first: merge side base
gix, topological: merge side
gix, ahead of main: 3
with a commit-graph file:
gix, breadth-first: merge side
gix, ahead of main: 2
EXPECTED
