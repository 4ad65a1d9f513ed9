#!/bin/sh
# If one author's clock is some minutes fast, dulwich refuses valid fast-forwards: `pull` and `push` raise
# DivergedBranches although the new commits descend from the old one. The search ignores every commit that is older
# than the starting point, as are those that others make on top of the commit from the future. Only a forced push, which
# is also accepted if the branches have really diverged, gets past it; git and pygit2 (libgit2) go by the parents.
#
# Seen with git 2.47.3, pygit2 1.21.0 (libgit2 1.9.7) and dulwich 1.2.21, on two commits that follow a commit of 12:05:
#   the two commits of 12:06 and 12:07
#     git 2.47.3: pull fast-forwards, push fast-forwards
#     pygit2 1.21.0: the branch can be fast-forwarded
#     dulwich 1.2.21: pull fast-forwards, push fast-forwards
#   the two commits of 12:01 and 12:02
#     git 2.47.3: pull fast-forwards, push fast-forwards
#     pygit2 1.21.0: the branch can be fast-forwarded
#     dulwich 1.2.21: pull DivergedBranches, push DivergedBranches
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages \
    dulwich==1.2.21 pygit2==1.21.0
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH
git config --global user.name a
git config --global user.email a@example.com
git config --global init.defaultBranch main
cat > transfer.py <<'TRANSFER'
import io
import sys
from importlib.metadata import version

import pygit2
from dulwich import porcelain


def outcome(transfer, *arguments, **options):
    try:
        transfer(*arguments, errstream=io.BytesIO(), **options)
    except porcelain.DivergedBranches as error:
        return type(error).__name__
    return "fast-forwards"


repository = pygit2.Repository("ahead")
repository.checkout("refs/heads/before")
analysis, _ = repository.merge_analysis(repository.branches["main"].target)
possible = analysis & pygit2.enums.MergeAnalysis.FASTFORWARD
repository.checkout("refs/heads/main")
print(f"  pygit2 {version('pygit2')}: the branch {'can' if possible else 'cannot'} be fast-forwarded")
pull = outcome(porcelain.pull, "behind", "origin")
push = outcome(porcelain.push, "ahead", "origin", "main", outstream=io.BytesIO())
print(f"  dulwich {version('dulwich')}: pull {pull}, push {push}")
TRANSFER
# $1: the subject; $2: the minute
commit() {
    GIT_COMMITTER_DATE="2026-03-02T12:$2:00Z" git -C ahead commit -q --allow-empty -m "$1"
}
# $1, $2: the minutes of the two commits; `behind` lacks both, and so does the remote of `ahead`
show() {
    rm -rf ahead behind new.git old.git
    git init -q ahead
    commit base 00
    commit fast-clock 05
    git clone -q --bare ahead old.git
    git clone -q ahead behind
    git -C ahead branch before
    commit third "$1"
    commit fourth "$2"
    git clone -q --bare ahead new.git
    git -C behind remote set-url origin "$work/new.git"
    git -C ahead remote add origin "$work/old.git"
    git -C ahead merge-base --is-ancestor before main
    echo "the two commits of 12:$1 and 12:$2"
    cp -r behind behind-git
    git -C behind-git pull -q --ff-only
    git -C ahead push -q --dry-run origin main
    echo "  git $(git version | cut -d ' ' -f 3): pull fast-forwards, push fast-forwards"
    rm -rf behind-git
    python3 transfer.py
}
show 06 07 > ordered
show 01 02 > fast
cat ordered fast
grep -q '^  dulwich .*: pull fast-forwards, push fast-forwards$' ordered
grep -q '^  pygit2 .*: the branch can be fast-forwarded$' fast
grep -q '^  dulwich .*: pull DivergedBranches, push DivergedBranches$' fast
