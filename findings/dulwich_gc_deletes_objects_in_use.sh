#!/bin/sh
# dulwich's `porcelain.gc` regards as reachable only what refs lead to. It deletes what git also keeps: content that is
# staged but not committed, all stashes but the newest, and the commits of a detached HEAD in a linked worktree, which
# is unusable afterwards. As for git, only objects older than two weeks go. A fetch, pull or merge of dulwich collects
# by itself once there are many loose objects. There is no error.
#
# Seen with dulwich 1.2.21 and git 2.47.3, on the same repository, a month later:
#   git 2.47.3, gc: staged content kept, second stash kept, linked worktree kept
#   dulwich 1.2.21, gc: staged content lost, second stash lost, linked worktree lost
#   dulwich 1.2.21, gc by fetch: staged content lost, second stash lost, linked worktree lost
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m pip install -qq --disable-pip-version-check --root-user-action=ignore --target packages dulwich==1.2.21
HOME="$work" GIT_CONFIG_NOSYSTEM=1 PYTHONPATH="$work/packages"
export HOME GIT_CONFIG_NOSYSTEM PYTHONPATH
git config --global user.name a
git config --global user.email a@example.com

# $1: the name; the repository has something staged, two stashes, and a commit in a linked worktree, all of a month ago
create() {
    git init -q -b main "$1"
    cd "$1"
    echo one > f
    git add f
    git commit -qm one
    for change in older newer; do
        echo $change > f
        git stash push -q -m $change
    done
    git worktree add -q --detach "../$1-linked"
    git -C "../$1-linked" commit -q --allow-empty -m linked
    echo staged > new
    git add new
    git remote add origin "$work/origin.git"
    git fsck --no-progress --strict
    find .git/objects -type f -exec touch -d '30 days ago' {} +
}
kept() { if "$@" >/dev/null 2>&1; then echo kept; else echo lost; fi; }
# $1: the collector
show() {
    staged=$(kept git cat-file blob :new)
    stash=$(kept git stash show -p 'stash@{1}')
    linked=$(kept git -C "$PWD-linked" log -1)
    echo "$1: staged content $staged, second stash $stash, linked worktree $linked"
    cd "$work"
}

git init -q --bare -b main origin.git
git clone -q origin.git source 2>/dev/null
git -C source commit -q --allow-empty -m other
git -C source push -q origin main
dulwich=$(python3 -c 'import dulwich; print("dulwich", ".".join(map(str, dulwich.__version__)))')
{
    create by-git
    git gc -q
    show "git $(git version | cut -d ' ' -f 3), gc"
    create by-dulwich
    python3 -c 'from dulwich import porcelain; porcelain.gc(".")'
    show "$dulwich, gc"
    create by-fetch
    git config gc.auto 1
    python3 -c 'import io; from dulwich import porcelain; porcelain.fetch(".", "origin", errstream=io.BytesIO())'
    show "$dulwich, gc by fetch"
} > output
cat output
grep -q '^git .*: staged content kept, second stash kept, linked worktree kept$' output
[ "$(grep -c '^dulwich .*: staged content lost, second stash lost, linked worktree lost$' output)" = 2 ]
