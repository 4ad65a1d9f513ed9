#!/bin/sh
# `git apply --intent-to-add`, which is to note a patch's new files in the index and otherwise change the working tree
# only, replaces the index by one that has nothing but those notes: every tracked file is staged as deleted, and what
# was staged before is lost. The command reports success, and the next commit deletes all files. In a repository without
# tracked files, as in a small test, it is right. Without the option, and with --index, the other entries stay.
#
# Seen with git 2.39.5 (Debian 1:2.39.5-0+deb12u3), and with git 2.47.3; the patch adds one file:
#   git version 2.39.5
#   git apply: exit 0, 0 of 3 files deleted, b staged
#   git apply --index: exit 0, 0 of 3 files deleted, b new staged
#   git apply --intent-to-add: exit 0, 3 of 3 files deleted, nothing staged
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
for file in a b c; do echo 1 > $file; done
git add .
git commit -qm base
echo content > new
git add new
git diff --cached > ../patch
git reset -q --hard

# $@: options of git apply
show() {
    git reset -q --hard
    git clean -qf
    echo 2 > b
    git add b
    exit=0
    said=$(git apply "$@" ../patch 2>&1) || exit=$?
    deleted=$(git diff --cached --name-only --diff-filter=D | wc -l)
    staged=$(git diff --cached --name-only --diff-filter=AM | xargs)
    echo "git apply${*:+ $*}: exit $exit${said:+, $said}, $deleted of 3 files deleted, ${staged:-nothing} staged"
}
{
    show
    show --index
    show --intent-to-add
} | tee ../output
diff - ../output <<'EXPECTED'
git apply: exit 0, 0 of 3 files deleted, b staged
git apply --index: exit 0, 0 of 3 files deleted, b new staged
git apply --intent-to-add: exit 0, 3 of 3 files deleted, nothing staged
EXPECTED
