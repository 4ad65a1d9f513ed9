#!/bin/sh
# In a sparse checkout, a squashed merge, `cherry-pick -n` or `revert -n` stages changes of files that are not checked
# out. `git status` advises `git restore --staged FILE` to unstage one. This drops the mark of a file that is not
# checked out, so its absence counts as a deletion: a rebase is refused, a commit of `.` deletes the file, and so does,
# after the end of the sparse checkout, which does not restore it, `git commit -a`. `git apply --cached`, with which
# programs stage and unstage parts of a file, does the same. `git reset -- FILE` keeps the mark.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3; the cone is `in`, the squashed merge changes
# out/f, and before the commits in/f is edited:
#   git version 2.39.5
#   after the merge: M  out/f, advice: (use "git restore --staged <file>..." to unstage)
#   git reset -- out/f: status is clean, rebase: exit 0
#     commit of `.`: M in/f
#     sparse-checkout disable, commit -a: M in/f
#   git restore --staged out/f: status is D out/f, rebase: exit 1
#     commit of `.`: M in/f D out/f
#     sparse-checkout disable, commit -a: M in/f D out/f
#   git apply --cached --reverse: status is D out/f, rebase: exit 1
#     commit of `.`: M in/f D out/f
#     sparse-checkout disable, commit -a: M in/f D out/f
set -eu
version='1:2.39.5-0+deb12u3'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download "git=$version" >/dev/null 2>&1
dpkg -x ./*.deb unpacked
GIT_EXEC_PATH="$work/unpacked/usr/lib/git-core" HOME="$work" GIT_CONFIG_NOSYSTEM=1 PATH="$work/unpacked/usr/bin:$PATH"
export GIT_EXEC_PATH HOME GIT_CONFIG_NOSYSTEM PATH
git config --global user.name a
git config --global user.email a@example.com
git config --global init.defaultBranch main

create() {
    rm -rf "$work/repository"
    git init -q "$work/repository"
    cd "$work/repository"
    mkdir in out
    echo one > in/f
    echo one > out/f
    git add .
    git commit -qm one
    git checkout -q -b side
    echo two > out/f
    git commit -qam two
    git checkout -q main
    git sparse-checkout set in
    git merge --squash side >/dev/null 2>&1
}
changes() { git show --format= --name-status | xargs; }
# $1: the name; $2...: the command that unstages
show() {
    name=$1
    shift
    create
    "$@"
    status=$(git status --porcelain | xargs)
    code=0
    git rebase side >/dev/null 2>&1 || code=1
    echo "$name: status is ${status:-clean}, rebase: exit $code"
    create
    "$@"
    echo edit > in/f
    git commit -qm three -- .
    echo "  commit of \`.\`: $(changes)"
    create
    "$@"
    git sparse-checkout disable
    echo edit > in/f
    git commit -qam three
    echo "  sparse-checkout disable, commit -a: $(changes)"
}
unapply() { git diff --cached | git apply --cached --reverse; }

git --version
{
    create
    advice=$(git status | grep -o '(use "git restore --staged.*')
    echo "after the merge: $(git status --porcelain), advice: $advice"
    show 'git reset -- out/f' git reset -q -- out/f
    show 'git restore --staged out/f' git restore --staged out/f
    show 'git apply --cached --reverse' unapply
} > "$work/output"
cat "$work/output"
diff - "$work/output" <<'EXPECTED'
after the merge: M  out/f, advice: (use "git restore --staged <file>..." to unstage)
git reset -- out/f: status is clean, rebase: exit 0
  commit of `.`: M in/f
  sparse-checkout disable, commit -a: M in/f
git restore --staged out/f: status is D out/f, rebase: exit 1
  commit of `.`: M in/f D out/f
  sparse-checkout disable, commit -a: M in/f D out/f
git apply --cached --reverse: status is D out/f, rebase: exit 1
  commit of `.`: M in/f D out/f
  sparse-checkout disable, commit -a: M in/f D out/f
EXPECTED
