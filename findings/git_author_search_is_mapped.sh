#!/bin/sh
# In a repository with a `.mailmap`, `git log --author` searches the mapped names only. Programs print authors with
# `%an` and `%ae`, which are not mapped: a search for a printed name or address then finds nothing, and a search for the
# new name finds commits that are printed under the old one. `git rev-list --author` searches the recorded names
# instead, so the two commands disagree. With `--no-mailmap`, or `%aN` and `%aE`, print and search agree.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3; the mailmap maps Old to New:
#   git version 2.39.5
#   git log --format=%an: Old
#   git log --author=Old: 0 commits
#   git log --author=old@example.com: 0 commits
#   git log --author=New: 1 commit, by Old
#   git rev-list --author=Old: 1 commit
#   git rev-list --author=New: 0 commits
#   git log --no-mailmap --author=Old: 1 commit
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
echo 'New <new@example.com> <old@example.com>' > .mailmap
git add .mailmap
git -c user.name=Old -c user.email=old@example.com commit -qm one
# $@: the command
count() {
    number=$("$@" | wc -l)
    echo "$*: $number commit$([ "$number" = 1 ] || echo s)"
}
{
    echo "git log --format=%an: $(git log --format=%an)"
    count git log --author=Old --format=%an | sed 's/ --format=%an//'
    count git log --author=old@example.com --format=%an | sed 's/ --format=%an//'
    echo "$(count git log --author=New --format=%an | sed 's/ --format=%an//'), by $(git log --author=New --format=%an)"
    count git rev-list --author=Old HEAD | sed 's/ HEAD//'
    count git rev-list --author=New HEAD | sed 's/ HEAD//'
    count git log --no-mailmap --author=Old --format=%an | sed 's/ --format=%an//'
} > ../output
cat ../output
diff - ../output <<'EXPECTED'
git log --format=%an: Old
git log --author=Old: 0 commits
git log --author=old@example.com: 0 commits
git log --author=New: 1 commit, by Old
git rev-list --author=Old: 1 commit
git rev-list --author=New: 0 commits
git log --no-mailmap --author=Old: 1 commit
EXPECTED
