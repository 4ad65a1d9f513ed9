#!/bin/sh
# `git merge-tree --write-tree A B`, which is documented to read neither the working tree nor the index, takes the
# attributes from the `.gitattributes` of the working tree: the same two commits merge or conflict depending on which
# branch is checked out, on an uncommitted edit, and on whether the repository is bare. A server that previews a merge
# into another branch than its own reports what `git merge` there would not do. `GIT_ATTR_SOURCE` (from git 2.41) or a
# checkout of A makes both agree.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3; A has `CHANGES merge=union`, `plain` has not:
#   git version 2.39.5
#   git merge B, in A: merged
#   git merge-tree A B, while A is checked out: merged
#   git merge-tree A B, while plain is checked out: conflict
#   git merge-tree A B, in a bare clone: conflict
#   git merge-tree plain B, while plain is checked out: conflict
#   git merge-tree plain B, while A is checked out: merged
#   git merge-tree plain B, with an untracked .gitattributes: merged
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

git --version
git init -q repository
cd repository
echo one > CHANGES
git add CHANGES
git commit -qm base
git checkout -q -b B
echo from-b >> CHANGES
git commit -qam b
git checkout -q -b plain main
echo from-a >> CHANGES
git commit -qam a
git checkout -q -b A
echo 'CHANGES merge=union' > .gitattributes
git add .gitattributes
git commit -qm attributes
# $1: the name; $2...: the command
show() {
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "$name: merged"; else echo "$name: conflict"; fi
}
preview() { show "git merge-tree $1 B, $2" git merge-tree --write-tree "$1" B; }
{
    git checkout -q --detach A
    show 'git merge B, in A' git merge --no-edit B
    git checkout -q A
    preview A 'while A is checked out'
    git checkout -q plain
    preview A 'while plain is checked out'
    git clone -q --bare . ../bare.git
    cd ../bare.git
    preview A 'in a bare clone'
    cd ../repository
    preview plain 'while plain is checked out'
    git checkout -q A
    preview plain 'while A is checked out'
    git checkout -q plain
    echo 'CHANGES merge=union' > .gitattributes
    preview plain 'with an untracked .gitattributes'
} > ../output
cat ../output
diff - ../output <<'EXPECTED'
git merge B, in A: merged
git merge-tree A B, while A is checked out: merged
git merge-tree A B, while plain is checked out: conflict
git merge-tree A B, in a bare clone: conflict
git merge-tree plain B, while plain is checked out: conflict
git merge-tree plain B, while A is checked out: merged
git merge-tree plain B, with an untracked .gitattributes: merged
EXPECTED
