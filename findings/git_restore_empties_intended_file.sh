#!/bin/sh
# For a file noted by `git add --intent-to-add`, `git restore FILE` and `git checkout -- FILE` write an empty file over
# its content, which git has stored nowhere. `git status` proposes exactly this command. The file has no version in the
# index, so one would expect a refusal, as of an unknown path, or no change; other commands that would touch the file
# (rm, stash, a switch or merge that brings one of this name) refuse to.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3:
#   git version 2.39.5
#   git restore new: exit 0, 0 bytes left, content is not in the object database
#   git checkout -- new: exit 0, 0 bytes left, content is not in the object database
#   git restore .: exit 0, 0 bytes left, content is not in the object database
#   git rm new: exit 1, 8 bytes left
#   git stash push: exit 1, 8 bytes left
#   git switch side: exit 1, 8 bytes left
#   git restore untracked: exit 1, 8 bytes left
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
mkdir repository
cd repository
git init -q .
git commit -q --allow-empty -m base
git switch -q -c side
echo theirs > new
git add new
git commit -qm side
git switch -q main

# $@: the command
show() {
    echo content > new
    echo content > untracked
    git add --intent-to-add new
    exit=0
    git "$@" >/dev/null 2>&1 || exit=1
    left=$(cat "$([ "$2" = untracked ] && echo untracked || echo new)" | wc -c)
    lost=
    [ "$left" -gt 0 ] || git cat-file -e "$(echo content | git hash-object --stdin)" 2>/dev/null ||
        lost=', content is not in the object database'
    echo "git $*: exit $exit, $left bytes left$lost"
}
{
    show restore new
    show checkout -- new
    show restore .
    show rm new
    show stash push
    show switch side
    show restore untracked
} | tee ../output
diff - ../output <<'EXPECTED'
git restore new: exit 0, 0 bytes left, content is not in the object database
git checkout -- new: exit 0, 0 bytes left, content is not in the object database
git restore .: exit 0, 0 bytes left, content is not in the object database
git rm new: exit 1, 8 bytes left
git stash push: exit 1, 8 bytes left
git switch side: exit 1, 8 bytes left
git restore untracked: exit 1, 8 bytes left
EXPECTED
